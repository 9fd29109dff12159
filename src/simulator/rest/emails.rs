//! The text of notification mails, for a client that sends them itself
//! (contract, section 6).
//!
//! **Invariants.** Only the sender gets them; nothing is sent.

use super::{
    call::Caller,
    refusal::{NO_ENDPOINT, NO_ENTITY, Refusal},
};
use crate::simulator::{post, reply::Reply, transfer::SimTransfer, world::World};

/// Answers below `emails` of a transfer.
pub(super) fn route(
    world: &World,
    caller: &Caller,
    id: &str,
    rest: &[&str],
) -> Result<Reply, Refusal> {
    let position = world.index.find(id).ok_or(NO_ENTITY)?;
    let transfer = world.transfers.get(position).ok_or(NO_ENTITY)?;
    if Some(transfer.sender) != caller.sender {
        return Err(NO_ENTITY);
    }
    let text = match rest {
        ["sender"] => page(transfer, "Your files were uploaded."),
        ["sent"] => page(transfer, "Your files were sent."),
        ["recipients", recipient] => {
            let mut recipients = transfer.recipients.iter();
            let own = recipients.find(|known| known.id == *recipient);
            let url = post::download_url(&world.base_url, &transfer.letter, own.ok_or(NO_ENTITY)?);
            page(transfer, &format!("<a href=\"{url}\">Files for you</a>"))
        }
        _ => return Err(NO_ENDPOINT),
    };
    let mut reply = Reply::empty(200);
    reply.content_type = "text/html;charset=utf-8";
    reply.body = text.into_bytes();
    Ok(reply)
}

fn page(transfer: &SimTransfer, told: &str) -> String {
    let subject = transfer.letter.subject.as_deref().unwrap_or_default();
    let body = transfer.letter.body.as_deref().unwrap_or_default();
    format!("<html><head><title>{subject}</title></head><body><p>{told}</p>{body}</body></html>")
}
