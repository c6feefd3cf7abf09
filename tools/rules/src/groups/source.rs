//! What a source file imports, defines and implements.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::BTreeMap;

/// Segments of a path, as written: `["crate", "mem", "heap"]`.
pub(super) type Path = Vec<String>;

/// One source file.
#[derive(Debug, Default)]
pub(super) struct Source {
    /// Paths that begin with `crate`, `self` or `super`, anywhere in the file.
    pub(super) paths: Vec<Path>,
    /// What `use` brings into scope: the name, and the path behind it.
    pub(super) uses: BTreeMap<String, Path>,
    /// Types that the file defines.
    pub(super) types: Vec<String>,
    /// The types of its `impl` blocks.
    pub(super) impls: Vec<Path>,
}

impl Source {
    /// Parses a file. Items under `#[cfg(test)]` are left out.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let file = syn::parse_file(text).map_err(|error| error.to_string())?;
        let mut source = Self::default();
        for item in &file.items {
            source.item(item);
        }
        let tokens = text.parse::<TokenStream>().map_err(|error| error.to_string())?;
        source.scan(tokens, 0);
        Ok(source)
    }

    fn item(&mut self, item: &syn::Item) {
        match item {
            syn::Item::Use(item) if !for_tests(&item.attrs) => self.tree(&item.tree, &mut Vec::new()),
            syn::Item::Struct(item) => self.types.push(item.ident.to_string()),
            syn::Item::Enum(item) => self.types.push(item.ident.to_string()),
            syn::Item::Union(item) => self.types.push(item.ident.to_string()),
            syn::Item::Trait(item) => self.types.push(item.ident.to_string()),
            syn::Item::Impl(item) if !for_tests(&item.attrs) => {
                if let syn::Type::Path(path) = &*item.self_ty {
                    let segments = path.path.segments.iter();
                    self.impls.push(segments.map(|segment| segment.ident.to_string()).collect());
                }
            }
            _ => {}
        }
    }

    fn tree(&mut self, tree: &syn::UseTree, before: &mut Path) {
        match tree {
            syn::UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.tree(&path.tree, before);
                before.pop();
            }
            syn::UseTree::Name(name) => self.add_use(name.ident.to_string(), before, &name.ident),
            syn::UseTree::Rename(name) => self.add_use(name.rename.to_string(), before, &name.ident),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(tree, before)),
            syn::UseTree::Glob(_) => {}
        }
    }

    fn add_use(&mut self, name: String, before: &[String], last: &syn::Ident) {
        let mut path = before.to_vec();
        if last == "self" {
            if let Some(module) = path.last().cloned() {
                self.uses.insert(module, path);
            }
            return;
        }
        path.push(last.to_string());
        self.uses.insert(name, path);
    }

    /// Collects paths from tokens: macros hold paths that the syntax tree does not show. `depth` counts the inline
    /// modules around the tokens, each of which takes one `super`.
    fn scan(&mut self, tokens: TokenStream, depth: usize) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            if is_test_attribute(tokens.get(at), tokens.get(at.saturating_add(1))) {
                at = end_of_item(&tokens, at.saturating_add(2));
                continue;
            }
            match token {
                TokenTree::Ident(ident) if is_root(&ident.to_string()) && !after_dollar(&tokens, at) => {
                    let rest = tokens.get(at..).unwrap_or_default();
                    let mut found = Vec::new();
                    paths(rest, &mut Vec::new(), &mut found);
                    self.paths.extend(found.into_iter().filter_map(|path| without_inline(path, depth)));
                }
                TokenTree::Group(group) => {
                    let inline = group.delimiter() == Delimiter::Brace && follows_mod(&tokens, at);
                    self.scan(group.stream(), depth.saturating_add(usize::from(inline)));
                }
                _ => {}
            }
            at = at.saturating_add(1);
        }
    }
}

fn is_root(word: &str) -> bool {
    matches!(word, "crate" | "super" | "self")
}

/// `$crate` is the crate of the macro.
fn after_dollar(tokens: &[TokenTree], at: usize) -> bool {
    is_punct(at.checked_sub(1).and_then(|before| tokens.get(before)), '$')
}

/// Whether the group at `at` is the body of `mod name { … }`.
fn follows_mod(tokens: &[TokenTree], at: usize) -> bool {
    let keyword = at.checked_sub(2).and_then(|before| tokens.get(before));
    matches!(keyword, Some(TokenTree::Ident(ident)) if ident == "mod")
}

fn is_punct(token: Option<&TokenTree>, wanted: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == wanted)
}

/// `#[cfg(test)]`. What has `any(test, …)` is in the product too.
fn is_test_attribute(hash: Option<&TokenTree>, group: Option<&TokenTree>) -> bool {
    let Some(TokenTree::Group(group)) = group else { return false };
    is_punct(hash, '#') && group.stream().to_string().replace(' ', "") == "cfg(test)"
}

fn for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let syn::Meta::List(list) = &attribute.meta else { return false };
        list.path.is_ident("cfg") && list.tokens.to_string() == "test"
    })
}

/// The index behind the item that begins at `at`: behind its `;` or its braces.
fn end_of_item(tokens: &[TokenTree], at: usize) -> usize {
    let is_end = |token: &TokenTree| match token {
        TokenTree::Punct(punct) => punct.as_char() == ';',
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        _ => false,
    };
    let rest = tokens.get(at..).unwrap_or_default();
    rest.iter().position(is_end).map_or(tokens.len(), |end| at.saturating_add(end).saturating_add(1))
}

/// The paths of the tree at the beginning of `tokens`: `a::b`, `a::{b, c::d}`. A path of a macro, `a::b!`, is none.
fn paths(tokens: &[TokenTree], before: &mut Path, found: &mut Vec<Path>) {
    let [TokenTree::Ident(first), rest @ ..] = tokens else { return };
    before.push(first.to_string());
    match rest {
        [TokenTree::Punct(a), TokenTree::Punct(b), next, ..] if a.as_char() == ':' && b.as_char() == ':' => {
            match next {
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                    let trees = inner.split(|token| is_punct(Some(token), ','));
                    trees.for_each(|tree| paths(tree, before, found));
                }
                TokenTree::Ident(_) => paths(rest.get(2..).unwrap_or_default(), before, found),
                // `::*` and `::<T>` end the path.
                _ => found.push(before.clone()),
            }
        }
        [TokenTree::Punct(bang), ..] if bang.as_char() == '!' => {}
        // `pub(crate)` and a bare `self` are no paths.
        _ if before.len() < 2 => {}
        _ => found.push(before.clone()),
    }
    before.pop();
}

/// A path as seen from the file: an inline module takes one `super`. `None` if it leads to the file itself.
fn without_inline(path: Path, depth: usize) -> Option<Path> {
    let supers = path.iter().take_while(|segment| *segment == "super").count();
    match path.first().map(String::as_str) {
        Some("crate") => Some(path),
        Some("self") if depth == 0 => Some(path),
        Some("super") if supers > depth => Some(path.into_iter().skip(depth).collect()),
        _ => None,
    }
}
