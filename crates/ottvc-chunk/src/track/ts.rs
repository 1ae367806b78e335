//! MPEG transport streams, of packets of 188 or 192 bytes: whole files and segments of HLS.
//!
//! All is in line: tables name the PIDs, whatever they are by then, and each PID goes on from packet to
//! packet. An extent is what one packet holds of a unit. Nothing but counters is kept from one packet to
//! the next; where the bytes at its end tell too little, later packets are looked at, a bounded number of
//! them. Damaged, scrambled, repeated and empty packets are glue, and so is what is no packet.
//!
//! # Reference
//! ISO/IEC 13818-1.

mod frames;
mod kind;
mod nals;
mod packet;
mod pes;
mod pid;
mod piece;
mod psi;
mod sequences;
mod sound;
#[cfg(test)]
mod tests;

use std::io;

use super::{Container, Extent, Parser, Source, Stream, Window};
use kind::{Form, Kind};
use packet::{Ahead, LEN, LOOK, Layout, Packet};
use pes::Clock;
use pid::Pid;
use psi::{Sections, Table};

/// The most PIDs with tracks that are followed.
const MOST_TRACKS: usize = 128;
/// The most PIDs with tables that are followed.
const MOST_TABLES: usize = 128;
/// How many PIDs there can be.
const PIDS: usize = 1 << 13;
/// In place of the route of a PID that has none.
const NOWHERE: u16 = u16::MAX;

/// Returns a parser if `source` is a transport stream, by the packets at its beginning.
///
/// # Errors
/// What `source` fails with.
pub fn open(source: &mut dyn Source) -> io::Result<Option<Box<dyn Parser>>> {
    let len = usize::try_from(source.len()).unwrap_or(usize::MAX).min(Layout::SNIFFED);
    let mut start = vec![0; len];
    source.read_at(0, &mut start)?;
    let parser = Layout::sniff(&start).map(Ts::new);
    Ok(parser.map(|parser| Box::new(parser) as Box<dyn Parser>))
}

/// Parses transport streams.
#[derive(Debug)]
struct Ts {
    layout: Layout,
    /// Whether a packet ended where the next must begin.
    synced: bool,
    /// For each PID its place in `routes`.
    places: Vec<u16>,
    routes: Vec<Route>,
    tracks: usize,
    streams: Vec<Stream>,
    clock: Clock,
}

/// Where packets of a PID go.
#[derive(Debug)]
enum Route {
    Tables(Sections),
    /// A track that has not begun.
    Waiting(Kind),
    Track(Box<Pid>),
    /// A track too many.
    Full(Kind),
}

impl Ts {
    fn new(layout: Layout) -> Self {
        let mut ts = Self {
            layout,
            synced: false,
            places: vec![NOWHERE; PIDS],
            routes: Vec::new(),
            tracks: 0,
            streams: Vec::new(),
            clock: Clock::default(),
        };
        // The program association table is always on PID 0.
        ts.route(0, Route::Tables(Sections::default()));
        ts
    }

    fn route(&mut self, pid: u16, route: Route) {
        if let Some(place) = self.places.get_mut(usize::from(pid))
            && let Ok(next) = u16::try_from(self.routes.len())
        {
            *place = next;
            self.routes.push(route);
        }
    }

    fn routed(&mut self, pid: u16) -> Option<&mut Route> {
        let place = *self.places.get(usize::from(pid))?;
        self.routes.get_mut(usize::from(place))
    }

    /// Takes the packet in `bytes`, which ends at `end` in the file, before what is in `after`.
    fn take(&mut self, bytes: &[u8; LEN], end: u64, after: &[u8], out: &mut Vec<Extent>) {
        let Some(packet) = Packet::read(bytes) else { return };
        let Some(place) = self.places.get(usize::from(packet.pid)) else { return };
        let Some(route) = self.routes.get_mut(usize::from(*place)) else { return };
        if let Route::Waiting(kind) = route {
            if !packet.starts && kind.form != Form::Sections {
                return;
            }
            *route = match Pid::begin(kind.clone(), &packet, &mut self.streams) {
                Some(pid) => Route::Track(Box::new(pid)),
                None => Route::Full(kind.clone()),
            };
        }
        match route {
            Route::Track(pid) => {
                let at = end.saturating_sub(packet.payload.len() as u64);
                let ahead = Ahead::new(self.layout, after, &packet);
                pid.take(&packet, at, ahead, &mut self.clock, out);
            }
            Route::Tables(sections) => {
                for table in sections.take(&packet) {
                    self.apply(table);
                }
            }
            Route::Waiting(_) | Route::Full(_) => {}
        }
    }

    /// Follows the PIDs that a table names.
    fn apply(&mut self, table: Table) {
        match table {
            Table::Programs(pids) => {
                for pid in pids {
                    if self.routed(pid).is_none() && self.routes.len() - self.tracks < MOST_TABLES {
                        self.route(pid, Route::Tables(Sections::default()));
                    }
                }
            }
            Table::Program(pids) => {
                for (pid, kind) in pids {
                    self.follow(pid, kind);
                }
            }
        }
    }

    fn follow(&mut self, pid: u16, kind: Kind) {
        match self.routed(pid) {
            None => {
                if self.tracks < MOST_TRACKS {
                    self.tracks += 1;
                    self.route(pid, Route::Waiting(kind));
                }
            }
            Some(Route::Tables(_)) => {}
            // Another track, on a PID that was used before.
            Some(route) => {
                let known = match route {
                    Route::Track(pid) => pid.kind(),
                    Route::Waiting(known) | Route::Full(known) => known,
                    Route::Tables(_) => return,
                };
                if !known.continues(&kind) {
                    *route = Route::Waiting(kind);
                }
            }
        }
    }
}

impl Parser for Ts {
    fn container(&self) -> Container {
        Container::Ts { packet: u8::try_from(self.layout.size).unwrap_or_default() }
    }

    fn streams(&self) -> &[Stream] {
        &self.streams
    }

    fn parse(&mut self, window: Window<'_>, out: &mut Vec<Extent>) -> usize {
        let Window { at: start, bytes, ends } = window;
        let layout = self.layout;
        // Each packet is taken when all is there that it may look at, so that windows do not matter.
        let margin = if ends { 0 } else { layout.size * (LOOK + 1) };
        let limit = bytes.len().saturating_sub(margin);
        let mut at = 0;
        while at < limit {
            if !self.synced && !layout.is_run(bytes, at) {
                at = layout.next_sync(bytes, at).min(limit);
                continue;
            }
            self.synced = layout.is_sync(bytes, at);
            if self.synced {
                // The last one of a file may have been cut short.
                let Some(packet) = layout.packet(bytes, at) else { break };
                at += layout.size;
                self.take(packet, start + at as u64, bytes.get(at..).unwrap_or_default(), out);
            }
        }
        if ends { bytes.len() } else { at }
    }
}
