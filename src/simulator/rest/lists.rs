//! Transfer Status and the three lists (contract, sections 4 and 5).
//!
//! **Invariants.** A page is cut from positions that are kept in order: only
//! the transfers of the page itself are looked at. Recipients see nobody but
//! themselves.

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::{
    call::{Caller, reader},
    fields::{Fields, Unwanted},
    query,
    refusal::{NO_ENDPOINT, NO_ENTITY, Refusal, WRONG_TOKEN, WRONG_VALUE},
};
use crate::simulator::{
    answers::{Frame, Reader, Viewer},
    asked::Asked,
    index::Part,
    quirk::Quirk,
    transfer::SimTransfer,
    world::World,
};

/// The largest page (contract 5.1).
const LARGEST_PAGE: usize = 100;

/// `data` of Transfer Status.
pub(super) fn status(
    world: &mut World,
    asked: &Asked,
    caller: &Caller,
    id: &str,
) -> Result<Value, Refusal> {
    let id = percent_decode_str(id).decode_utf8_lossy();
    let position = world.index.find(&id);
    if position.is_none() && world.shows(Quirk::UnknownIdIs1006) {
        return Err(NO_ENDPOINT);
    }
    let with_sessions = world.shows(Quirk::PendingSessions);
    let is_foreign_401 = world.shows(Quirk::ForeignIdIs401);
    let session = || world.sessions.pending(&id).filter(|_| with_sessions);
    let known = position.and_then(|position| world.transfers.get(position));
    let transfer = known.or_else(session).ok_or(NO_ENTITY)?;
    if Some(transfer.sender) != caller.sender {
        return Err(if is_foreign_401 {
            WRONG_TOKEN
        } else {
            NO_ENTITY
        });
    }
    let mut frame = Frame {
        viewer: Viewer::Sender(&caller.address),
        base_url: &world.base_url,
        reader: &reader(asked),
        quirks: &world.quirks,
        dice: &mut world.dice,
    };
    Ok(frame.status(transfer))
}

/// `/transfers`, the list of every version.
pub(super) fn short(world: &mut World, asked: &Asked, caller: &Caller) -> Result<Value, Refusal> {
    let (paging, reader) = (Paging::of(world, asked)?, reader(asked));
    let (page, mut frame) = own(world, &reader, caller, (Part::All, &paging));
    let items = page.into_iter().map(|transfer| frame.list_item(transfer));
    Ok(items.collect())
}

/// `sent-transfers`.
pub(super) fn sent(world: &mut World, asked: &Asked, caller: &Caller) -> Result<Value, Refusal> {
    let (wish, reader) = (Wish::of(world, asked)?, reader(asked));
    let (page, mut frame) = own(world, &reader, caller, (wish.part, &wish.paging));
    let items = page
        .into_iter()
        .map(|transfer| wish.take(frame.item(transfer)));
    Ok(items.collect())
}

/// The caller's transfers of a page, and what their answer needs.
fn own<'a>(
    world: &'a mut World,
    reader: &'a Reader,
    caller: &'a Caller,
    (part, paging): (Part, &Paging),
) -> (Vec<&'a SimTransfer>, Frame<'a>) {
    let index = &world.index;
    let listed = caller
        .sender
        .map_or(&[][..], |sender| index.sent(sender, part));
    let page = paging.newest(listed.iter().rev());
    let frame = Frame {
        viewer: Viewer::Sender(&caller.address),
        base_url: &world.base_url,
        reader,
        quirks: &world.quirks,
        dice: &mut world.dice,
    };
    let page = page.filter_map(|position| world.transfers.get(*position));
    (page.collect(), frame)
}

/// `received-transfers`: what was provided to this address.
pub(super) fn received(
    world: &mut World,
    asked: &Asked,
    caller: &Caller,
) -> Result<Value, Refusal> {
    let (wish, reader) = (Wish::of(world, asked)?, reader(asked));
    let listed = world.index.received(&caller.address).iter().rev();
    let listed = listed.filter_map(|position| world.transfers.get(*position));
    let provided = listed.filter(|t| t.stage.was_provided() && wish.part.holds(t.stage));
    let items = wish.paging.newest(provided).map(|transfer| {
        let mut frame = Frame {
            viewer: Viewer::Recipient {
                address: &caller.address,
                sender: world
                    .senders
                    .get(transfer.sender)
                    .map_or("", String::as_str),
            },
            base_url: &world.base_url,
            reader: &reader,
            quirks: &world.quirks,
            dice: &mut world.dice,
        };
        wish.take(frame.item(transfer))
    });
    Ok(items.collect())
}

/// What a client of `sent-` or `received-transfers` wishes.
struct Wish {
    paging: Paging,
    part: Part,
    fields: Fields,
    unwanted: Unwanted,
}

impl Wish {
    fn of(world: &mut World, asked: &Asked) -> Result<Self, Refusal> {
        let paging = Paging::of(world, asked)?;
        let World { quirks, dice, .. } = world;
        let with_processing = quirks.shows(Quirk::ActiveIncludesProcessing, dice);
        let part = match (query::switch(asked, "active")?, with_processing) {
            (None, _) => Part::All,
            (Some(true), false) => Part::Active,
            (Some(true), true) => Part::Living,
            (Some(false), false) => Part::Inactive,
            (Some(false), true) => Part::Ended,
        };
        let fields = match asked.query("fields") {
            None => Fields::of_default(),
            Some(text) if text.contains(' ') && quirks.shows(Quirk::BlanksRefused, dice) => {
                return Err(WRONG_VALUE);
            }
            Some(text) => Fields::parse(&text).ok_or(WRONG_VALUE)?,
        };
        if !fields.are_known() && quirks.shows(Quirk::UnknownFieldsRefused, dice) {
            return Err(WRONG_VALUE);
        }
        let unwanted = if quirks.shows(Quirk::UnselectedNull, dice) {
            Unwanted::Null
        } else {
            Unwanted::Absent
        };
        Ok(Self {
            paging,
            part,
            fields,
            unwanted,
        })
    }

    fn take(&self, item: Value) -> Value {
        self.fields.of(item, self.unwanted)
    }
}

/// Which page.
struct Paging {
    skipped: usize,
    size: usize,
}

impl Paging {
    fn of(world: &mut World, asked: &Asked) -> Result<Self, Refusal> {
        let number = |name, default| {
            let number = query::number(asked, name, 1)?.unwrap_or(default);
            usize::try_from(number).map_err(|_| WRONG_VALUE)
        };
        let (page, mut size) = (number("page", 1)?, number("page-size", 10)?);
        if size > LARGEST_PAGE {
            if !world.quirks.shows(Quirk::PageSizeCapped, &mut world.dice) {
                return Err(WRONG_VALUE);
            }
            size = LARGEST_PAGE;
        }
        let skipped = (page - 1).saturating_mul(size);
        // The first page is always whole: nothing moves before it.
        let shift = if page > 1 { world.shift } else { 0 };
        let moved = usize::try_from(shift.unsigned_abs()).unwrap_or(usize::MAX);
        Ok(Self {
            skipped: if shift > 0 {
                skipped.saturating_sub(moved)
            } else {
                skipped.saturating_add(moved)
            },
            size,
        })
    }

    /// The page of `items`, which come newest first.
    fn newest<T>(&self, items: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
        items.skip(self.skipped).take(self.size)
    }
}
