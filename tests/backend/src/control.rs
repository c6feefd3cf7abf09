//! The control ring of Xen's `io/netif.h`: mapped pages, and hashes. Correct, or as [`Manners`] say.
//!
//! ```text
//!   GET_GREF_MAPPING_SIZE ─► how many      ADD_GREF_MAPPING ─► all of the list mapped, or none
//!   DEL_GREF_MAPPING ─► unmapped, a status in each entry       1 to 7 ─► yes, if hashes are wanted
//! ```
//!
//! A page that stays mapped is read and written in place: no grant operation for its frames. Those that need one are
//! counted.

use crate::Outcome;
use crate::backend::Backend;
use crate::ring::BackRing;
use crate::sys::{Access, Evtchn, Gntdev, Mapping};
use crate::vif::Vif;
use std::collections::BTreeMap;
use xen::abi::io_netif::{
    NetifCtrlRequest, NetifCtrlResponse, NetifCtrlStatus as Status, NetifCtrlType as Type, NetifGref,
    NetifGrefFlags,
};
use xen::abi::io_ring::offset;
use zerocopy::{FromZeros, IntoBytes};

/// Entries that fit into the page of a list.
const MOST: u32 = 512;

/// How requests are answered.
#[derive(Debug)]
pub struct Manners {
    /// Pages that may stay mapped; `None`: mappings are not supported.
    size: Option<u32>,
    /// Every hash is accepted.
    hashes: bool,
    /// Added to the id, to the type.
    id: u16,
    kind: u16,
    status: Option<u32>,
    data: Option<u32>,
    /// Added to the index of responses.
    index: u32,
    silent: bool,
    /// All of that is so for requests of this type alone.
    only: Option<u16>,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            size: Some(4096),
            hashes: false,
            id: 0,
            kind: 0,
            status: None,
            data: None,
            index: 0,
            silent: false,
            only: None,
        }
    }
}

/// The ring and its channel.
#[derive(Debug)]
pub struct Control {
    ring: BackRing,
    pub port: u32,
    /// Requests that were taken.
    requests: u64,
    /// The page of the last list.
    table: Option<u32>,
}

impl Control {
    pub fn new(page: Mapping, port: u32) -> Outcome<Self> {
        let ring = BackRing::attach(page, size_of::<NetifCtrlRequest>())?;
        Ok(Self { ring, port, requests: 0, table: None })
    }

    /// Pages in which there is no frame.
    pub fn pages(&self) -> impl Iterator<Item = u32> + '_ {
        std::iter::once(self.ring.page().gref).chain(self.table)
    }
}

/// Pages that stay mapped.
#[derive(Debug, Default)]
pub struct Statics {
    pub maps: BTreeMap<u32, (Mapping, Access)>,
    /// Accesses by a grant operation, and by an existing mapping.
    copies: u64,
    uses: u64,
}

impl Statics {
    fn of(&mut self, gref: u32, access: Access) -> Option<&Mapping> {
        let found = self.maps.get(&gref).filter(|(_, how)| access == Access::Read || *how == Access::Write);
        let counter = if found.is_some() { &mut self.uses } else { &mut self.copies };
        *counter += 1;
        found.map(|(mapping, _)| mapping)
    }

    /// Copies out of a page of the guest's.
    pub fn read(&mut self, gntdev: &Gntdev, gref: u32, at: u16, into: &mut [u8]) -> Outcome {
        let end = usize::from(at) + into.len();
        match self.of(gref, Access::Read) {
            Some(mapping) if end <= crate::sys::PAGE => mapping.page().read_bytes(usize::from(at), into),
            _ => gntdev.read(gref, at, into)?,
        }
        Ok(())
    }

    /// Copies into a page of the guest's.
    pub fn write(&mut self, gntdev: &Gntdev, gref: u32, at: u16, from: &mut [u8]) -> Outcome {
        let end = usize::from(at) + from.len();
        match self.of(gref, Access::Write) {
            Some(mapping) if end <= crate::sys::PAGE => mapping.page().write_bytes(usize::from(at), from),
            _ => gntdev.write(gref, at, from)?,
        }
        Ok(())
    }

    /// All of a list, or nothing of it.
    fn add(&mut self, gntdev: &Gntdev, list: &[NetifGref]) -> Status {
        let mut new = Vec::new();
        for entry in list {
            let readonly = NetifGrefFlags::from_bits_retain(entry.flags).contains(NetifGrefFlags::READONLY);
            let access = if readonly { Access::Read } else { Access::Write };
            match gntdev.map(entry.gref, access) {
                Ok(mapping) if !self.maps.contains_key(&entry.gref) => new.push((mapping, access)),
                _ => return Status::InvalidParameter,
            }
        }
        self.maps.extend(new.into_iter().map(|(mapping, access)| (mapping.gref, (mapping, access))));
        Status::Success
    }
}

/// Answers pending requests.
pub fn answer(vif: &mut Vif, evtchn: &Evtchn, manners: &mut Manners) {
    let Some(mut control) = vif.control.take() else { return };
    while let Some(request) = control.ring.take::<NetifCtrlRequest>() {
        control.requests += 1;
        let faulty = manners.only.is_none_or(|kind| kind == request.kind);
        if faulty && manners.silent {
            continue;
        }
        let (status, data) = obey(vif, &mut control, manners, &request);
        let mut response =
            NetifCtrlResponse { id: request.id, kind: request.kind, status: status.raw(), data };
        if faulty {
            response.id = response.id.wrapping_add(manners.id);
            response.kind = response.kind.wrapping_add(manners.kind);
            response.status = manners.status.unwrap_or(response.status);
            response.data = manners.data.unwrap_or(response.data);
        }
        control.ring.put(&response);
        let wanted = control.ring.push();
        if faulty && manners.index != 0 {
            control.ring.bent = true;
            control.ring.set(offset::RSP_PROD, control.ring.rsp_prod().wrapping_add(manners.index));
        }
        if wanted {
            // A port without its other end cannot be notified.
            let _ = evtchn.notify(control.port);
        }
    }
    control.ring.ask();
    vif.control = Some(control);
}

/// Does what a correct backend does.
fn obey(
    vif: &mut Vif,
    control: &mut Control,
    manners: &Manners,
    request: &NetifCtrlRequest,
) -> (Status, u32) {
    let [queue, gref, count] = request.data;
    let size = match (Type::try_from(request.kind), manners.size) {
        (Ok(Type::GetHashFlags), _) if manners.hashes => return (Status::Success, 15),
        (Ok(Type::GetHashMappingSize), _) if manners.hashes => return (Status::Success, 128),
        (Ok(kind), _) if manners.hashes && kind.raw() < Type::GetGrefMappingSize.raw() => {
            return (Status::Success, 0);
        }
        (Ok(Type::GetGrefMappingSize | Type::AddGrefMapping | Type::DelGrefMapping), Some(size)) => size,
        _ => return (Status::NotSupported, 0),
    };
    if queue as usize >= vif.queues.len() {
        return (Status::InvalidParameter, 0);
    }
    if request.kind == Type::GetGrefMappingSize.raw() {
        return (Status::Success, size);
    }
    let Ok(table) = vif.gntdev.map(gref, Access::Write) else { return (Status::InvalidParameter, 0) };
    control.table = Some(gref);
    if count > MOST {
        return (Status::BufferOverflow, 0);
    }
    let mut list = vec![NetifGref::new_zeroed(); count as usize];
    table.page().read_bytes(0, list.as_mut_bytes());
    if request.kind == Type::AddGrefMapping.raw() {
        if vif.statics.maps.len() + list.len() > size as usize {
            return (Status::BufferOverflow, 0);
        }
        return (vif.statics.add(&vif.gntdev, &list), 0);
    }
    let mut gone = 0;
    for entry in &mut list {
        let known = vif.statics.maps.remove(&entry.gref).is_some();
        gone += u32::from(known);
        entry.status = if known { 0 } else { Status::InvalidParameter.raw() as u16 };
    }
    table.page().write_bytes(0, list.as_bytes());
    (Status::Success, gone)
}

/// Orders about the control ring.
pub fn order(backend: &mut Backend, words: &[&str]) -> Outcome<String> {
    let manners = &mut backend.manners;
    match words {
        ["honest"] => *manners = Manners::default(),
        ["silent"] => manners.silent = true,
        ["hashes"] => manners.hashes = true,
        ["size", "none"] => manners.size = None,
        ["size", size] => manners.size = Some(size.parse()?),
        ["id", by] => manners.id = by.parse()?,
        ["type", by] => manners.kind = by.parse()?,
        ["status", status] => manners.status = Some(status.parse()?),
        ["data", data] => manners.data = Some(data.parse()?),
        ["index", by] => manners.index = by.parse()?,
        ["only", kind] => manners.only = Some(kind.parse()?),
        ["counts"] => {
            let statics = &backend.vif()?.statics;
            let (maps, copies, uses) = (statics.maps.len(), statics.copies, statics.uses);
            let requests = backend.vif()?.control.as_ref().map_or(0, |control| control.requests);
            return Ok(format!("{maps} {copies} {uses} {requests}"));
        }
        _ => return Err("no such order".into()),
    }
    Ok(String::new())
}
