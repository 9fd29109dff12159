//! `[[server]]`, `[[server.sender]]` and `[[server.transfer]]`.
//!
//! **Invariants.** One sender is one entry, however often it is named; two
//! senders never share a label.

use std::{collections::HashSet, ops::RangeInclusive, time::Duration};

use super::{Surroundings, Table, options, secret, transfer, watch, way};
use crate::{
    config::{
        NamedTransfer, Sender, SenderOptions, Server,
        document::{Place, Problems},
        values,
    },
    model::{Discover, SenderId},
};

const MAX_RESPONSE_BYTES: u64 = 16 * 1024 * 1024;
const MAX_CONCURRENCY: usize = 4;
const MAX_REQUESTS_PER_SECOND: u32 = 10;

/// Larger bodies would not fit into memory.
const RESPONSE_BYTES: RangeInclusive<u64> = 1024..=1024 * 1024 * 1024;
const CONCURRENCY: RangeInclusive<usize> = 1..=1000;
const REQUESTS_PER_SECOND: RangeInclusive<u32> = 1..=100_000;

/// A sender and where its label stands.
struct Read {
    place: Place,
    sender: Sender,
}

/// One server; none if something is wrong that it cannot do without.
pub(super) fn read(
    mut table: Table<'_>,
    defaults: &SenderOptions,
    names: &mut Vec<String>,
    around: &Surroundings,
) -> Option<Server> {
    let name = name(&mut table, names);
    let url = table.parsed("url", values::url);
    if url.is_none() && !table.is_told("url") {
        table.wrong(
            "there is no url",
            "add url = \"https://transfer.example.com\"",
        );
    }
    warn_of_plain_http(url.as_ref(), around);
    let client_id = secret::client_id(&mut table, around);
    let way = way::read(&mut table, around);
    let [connect_timeout, read_timeout, request_timeout, max_backoff] = [
        ("connect_timeout", 5),
        ("read_timeout", 10),
        ("request_timeout", 30),
        ("max_backoff", 60),
    ]
    .map(|(key, seconds)| duration(&mut table, key, seconds));
    let max_response_bytes = table.number("max_response_bytes", RESPONSE_BYTES);
    let max_concurrency = table.number("max_concurrency", CONCURRENCY);
    let max_requests_per_second = table.number("max_requests_per_second", REQUESTS_PER_SECOND);
    let options = options(&mut table, defaults.clone());
    let known_as = name.clone().unwrap_or_default();
    let senders = senders(&mut table, &known_as, &options, around);
    let watch_files = watch::patterns(&mut table, around);
    table.finish();
    Some(Server {
        name: name?,
        url: url?.1,
        client_id: client_id?,
        way,
        connect_timeout,
        read_timeout,
        request_timeout,
        max_response_bytes: max_response_bytes.unwrap_or(MAX_RESPONSE_BYTES),
        max_concurrency: max_concurrency.unwrap_or(MAX_CONCURRENCY),
        max_requests_per_second: max_requests_per_second.unwrap_or(MAX_REQUESTS_PER_SECOND),
        max_backoff,
        senders,
        watch_files,
    })
}

fn name(table: &mut Table<'_>, names: &mut Vec<String>) -> Option<String> {
    let Some((place, name)) = table.parsed("name", values::server_name) else {
        if !table.is_told("name") {
            table.wrong(
                "there is no name",
                "add name = \"prod\", the label of the server",
            );
        }
        return None;
    };
    if names.contains(&name) {
        let wrong = format!("another server is called \"{name}\"");
        table
            .problems
            .add(place.problem(wrong, "choose another name"));
    }
    names.push(name.clone());
    Some(name)
}

/// The client id opens every mailbox of the server, so plain http is for
/// loopback alone.
fn warn_of_plain_http(url: Option<&(Place, url::Url)>, around: &Surroundings) {
    let Some((place, url)) = url else { return };
    let is_loopback = match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    if url.scheme() == "http" && !is_loopback {
        let wrong = "the client id would cross the network in plain text";
        around.warn(place, wrong, "use https");
    }
}

fn duration(table: &mut Table<'_>, key: &'static str, seconds: u64) -> Duration {
    let own = table.parsed(key, values::duration);
    own.map_or(Duration::from_secs(seconds), |(_, duration)| duration)
}

fn senders(
    table: &mut Table<'_>,
    server: &str,
    options: &SenderOptions,
    around: &Surroundings,
) -> Vec<Sender> {
    let mut senders: Vec<Read> = Vec::new();
    if !table.is_told("sender") && !table.is_told("transfer") {
        let remedy = "add a [[server.sender]] or a [[server.transfer]]";
        table.wrong("the server has nothing to watch", remedy);
    }
    for sender in table.tables("sender") {
        senders.extend(sender_entry(sender, server, options, &senders));
    }
    let problems = table.problems.clone();
    let mut ids = HashSet::new();
    for transfer in table.tables("transfer") {
        let Some((place, (_, address), named)) = transfer::entry(transfer, around) else {
            continue;
        };
        if !ids.insert(named.tracking_id.clone()) {
            let wrong = format!("the transfer {} stands here twice", named.tracking_id);
            problems.add(place.problem(wrong, "keep one entry"));
            continue;
        }
        file_transfer(&mut senders, place, (server, address), named, options);
    }
    check_labels(&senders, &problems);
    senders.into_iter().map(|read| read.sender).collect()
}

fn sender_entry(
    mut table: Table<'_>,
    server: &str,
    above: &SenderOptions,
    before: &[Read],
) -> Option<Read> {
    let email = table.parsed("email", values::address);
    if email.is_none() && !table.is_told("email") {
        table.wrong("there is no email", "add email = \"invoices@example.com\"");
    }
    let named = table.parsed("name", values::label);
    let options = options(&mut table, above.clone());
    let problems = table.problems.clone();
    table.finish();
    let (place, address) = email?;
    let id = SenderId::new(server, &address);
    if before.iter().any(|read| read.sender.id == id) {
        let wrong = "this sender stands here twice";
        problems.add(place.problem(wrong, "keep one [[server.sender]] for each address"));
        return None;
    }
    let (place, name) = match named {
        Some((place, name)) => (place, Some(name)),
        None => (place, None),
    };
    let sender = Sender {
        id,
        address,
        name,
        options,
        transfers: Vec::new(),
    };
    Some(Read { place, sender })
}

fn check_labels(senders: &[Read], problems: &Problems) {
    for (index, Read { place, sender }) in senders.iter().enumerate() {
        let clashes = senders.iter().enumerate().any(|(other, read)| {
            let same_label = other < index && read.sender.label() == sender.label();
            let is_address = other != index
                && sender.name.as_deref().map(str::to_lowercase).as_deref()
                    == Some(read.sender.id.address());
            same_label || is_address
        });
        if clashes {
            let wrong = format!("another sender has the label \"{}\"", sender.label());
            problems.add(place.problem(wrong, "give it another name"));
        }
    }
}

/// Files the transfer under the sender of `address`, which is added without
/// discovery if there is none.
fn file_transfer(
    senders: &mut Vec<Read>,
    place: Place,
    (server, address): (&str, String),
    named: NamedTransfer,
    options: &SenderOptions,
) {
    let id = SenderId::new(server, &address);
    if let Some(read) = senders.iter_mut().find(|read| read.sender.id == id) {
        read.sender.transfers.push(named);
        return;
    }
    let options = SenderOptions {
        discover: Discover::Nothing,
        ..options.clone()
    };
    let sender = Sender {
        id,
        address,
        name: None,
        options,
        transfers: vec![named],
    };
    senders.push(Read { place, sender });
}
