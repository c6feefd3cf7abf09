//! The backend in dom0, and the line over which it takes orders.

use bed::Bed;
use domu_tests::Outcome;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

/// dom0 on the guests' network.
const DOM0: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 100);
const PORT: u16 = 7300;
const PLACE: &str = "/var/bed/files/backend";
/// Longer than the backend waits for anything.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What a vif's configuration says so that xl leaves the vif to us: a script that does nothing.
pub(crate) const SCRIPT: &str = "script=vif-of-backend";

#[derive(Debug)]
pub(crate) struct Backend {
    line: BufReader<TcpStream>,
}

impl Backend {
    /// Puts it in the place of netback.
    pub(crate) fn start(bed: &Bed) -> Outcome<Self> {
        let program = bed::repository().join("build/backend");
        if !program.is_file() {
            return Err(format!("{} is not there; make backend", program.display()).into());
        }
        bed.put_file(program, PLACE)?;
        let script = format!(
            "rmmod xen_netback || exit 1
             printf '#!/bin/sh\\nexit 0\\n' > /etc/xen/scripts/vif-of-backend
             chmod 755 /etc/xen/scripts/vif-of-backend
             {PLACE} {PORT} > /var/log/backend.log 2>&1 < /dev/null &"
        );
        let output = bed.dom0(&script)?;
        if !output.success() {
            return Err(format!("netback does not go: {}", output.stderr).into());
        }
        let port = bed.forward_tcp(DOM0, PORT)?;
        let begun = Instant::now();
        loop {
            // QEMU accepts connections at once; only an answer shows that the backend runs.
            let mut backend = Self { line: BufReader::new(TcpStream::connect(port)?) };
            backend.line.get_ref().set_read_timeout(Some(TIMEOUT))?;
            backend.line.get_ref().set_nodelay(true)?;
            match backend.order("complaints") {
                Ok(_) => return Ok(backend),
                Err(error) if begun.elapsed() > TIMEOUT => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(200)),
            }
        }
    }

    /// Gives an order and returns the answer.
    pub(crate) fn order(&mut self, order: &str) -> Outcome<String> {
        self.line.get_mut().write_all(format!("{order}\n").as_bytes())?;
        let mut answer = String::new();
        self.line.read_line(&mut answer).map_err(|error| format!("{order}: no answer: {error}"))?;
        match answer.trim_end().split_once(' ') {
            Some(("ok", rest)) => Ok(rest.to_owned()),
            None if answer.trim_end() == "ok" => Ok(String::new()),
            _ => Err(format!("{order}: {}", answer.trim_end()).into()),
        }
    }
}
