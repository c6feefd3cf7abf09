//! Orders about the connection: states, and rings that are mapped or unmapped.

use crate::backend::Backend;
use crate::vif::{CLOSED, CLOSING, INIT_WAIT, INITIALISING};
use crate::{Outcome, faults};
use std::time::Duration;

/// What a frontend may take to answer a change of state, on a machine that is busy with other things.
const XENBUS: Duration = Duration::from_secs(40);

pub fn obey(backend: &mut Backend, words: &[&str]) -> Outcome<String> {
    match words {
        ["open", offers @ ..] => open(backend, offers),
        ["close"] => close(backend),
        ["state", state] => backend.switch(state.parse()?).map(|()| String::new()),
        ["offers", offers @ ..] => set_offers(backend, offers).map(|()| String::new()),
        ["passive"] => {
            backend.passive = true;
            Ok(String::new())
        }
        ["late"] => {
            backend.late = true;
            Ok(String::new())
        }
        ["leave"] => {
            backend.reopens = false;
            backend.let_go();
            Ok(String::new())
        }
        ["front", state] => {
            let wanted = state.parse()?;
            let reached = backend.until(XENBUS, |backend| {
                let Backend { store, vif: Some(vif), .. } = backend else { return false };
                vif.front_state(store) == wanted
            })?;
            if reached { Ok(String::new()) } else { Err("the frontend is not there".into()) }
        }
        words => faults::inject(backend, words),
    }
}

fn set_offers(backend: &mut Backend, offers: &[&str]) -> Outcome {
    let pair = |offer: &&str| offer.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
    let vif = backend.vif.as_mut().ok_or("there is no vif")?;
    for (key, _) in vif.offers.drain(..) {
        let _ = backend.store.remove(&format!("{}/{key}", vif.back));
    }
    vif.offers = offers.iter().filter_map(pair).collect();
    Ok(())
}

fn open(backend: &mut Backend, offers: &[&str]) -> Outcome<String> {
    (backend.reopens, backend.passive) = (true, false);
    let vif_there = backend.until(XENBUS, |backend| backend.vif.is_some())?;
    if !vif_there {
        return Err("xl has made no vif".into());
    }
    set_offers(backend, offers)?;
    if backend.connected() {
        return Ok("already".into());
    }
    // The frontend may have said 1 while we did not listen.
    let Backend { store, vif: Some(vif), .. } = backend else { return Err("the vif is gone".into()) };
    if vif.front_state(store) == INITIALISING || vif.state(store) != INIT_WAIT {
        vif.offer(store)?;
    }
    let connected = backend.until(XENBUS, |backend| backend.connected())?;
    backend.late = false;
    if connected {
        return Ok(String::new());
    }
    Err("the frontend does not connect".into())
}

fn close(backend: &mut Backend) -> Outcome<String> {
    backend.reopens = false;
    backend.switch(CLOSING)?;
    let closed = backend.until(XENBUS, |backend| {
        let Backend { store, vif: Some(vif), .. } = backend else { return true };
        matches!(vif.front_state(store), CLOSED | INITIALISING)
    })?;
    if !closed {
        return Err("the frontend does not close".into());
    }
    backend.let_go();
    (backend.holds, backend.mute) = (false, false);
    backend.switch(CLOSED)?;
    Ok(String::new())
}
