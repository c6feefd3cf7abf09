//! A link between two vifs, like a bridge in dom0 between two guests.

use super::{Device, Netback};
use crate::world::{Service, World};
use std::rc::{Rc, Weak};

#[derive(Debug)]
struct Wire {
    ends: [Weak<Device>; 2],
}

/// A link, as a service of the machine.
pub(crate) fn wire(a: &Netback, b: &Netback) -> Rc<dyn Service> {
    Rc::new(Wire { ends: [Rc::downgrade(&a.device), Rc::downgrade(&b.device)] })
}

impl Service for Wire {
    fn run(&self, world: &World) -> bool {
        let [Some(a), Some(b)] = [self.ends[0].upgrade(), self.ends[1].upgrade()] else { return false };
        let end = |device: &Rc<Device>| Netback { device: Rc::clone(device), world: Weak::clone(&world.me) };
        let mut worked = false;
        for (from, to) in [(end(&a), end(&b)), (end(&b), end(&a))] {
            while let Some(packet) = from.recv() {
                to.forward(packet);
                worked = true;
            }
        }
        worked
    }

    fn describe(&self) -> String {
        "wire".to_owned()
    }
}
