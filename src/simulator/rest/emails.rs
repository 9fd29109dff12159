//! The text of notification mails, for a client that sends them itself
//! (contract, section 6).
//!
//! **Invariants.** Only the sender gets them; nothing is sent.

use super::{
    call::{Caller, check_id},
    refusal::{NO_ENDPOINT, NO_ENTITY, Refusal},
};
use crate::simulator::{asked::Asked, post, reply::Reply, transfer::SimTransfer, world::World};

/// In English, German and French.
type Text = (&'static str, &'static str, &'static str);

const UPLOADED: Text = (
    "Your files were uploaded.",
    "Ihre Dateien wurden hochgeladen.",
    "Vos fichiers ont été envoyés au serveur.",
);
const SENT: Text = (
    "Your files were sent.",
    "Ihre Dateien wurden versendet.",
    "Vos fichiers ont été expédiés.",
);
const FOR_YOU: Text = ("Files for you", "Dateien für Sie", "Des fichiers pour vous");

/// Answers below `emails` of a transfer.
pub(super) fn route(
    world: &World,
    asked: &Asked,
    caller: &Caller,
    (id, rest): (&str, &[&str]),
) -> Result<Reply, Refusal> {
    let position = world.index.find(id).ok_or(NO_ENTITY)?;
    let transfer = world.transfers.get(position).ok_or(NO_ENTITY)?;
    if Some(transfer.sender) != caller.sender {
        return Err(NO_ENTITY);
    }
    let language = asked.language();
    let of_language = |(english, german, french): Text| match language {
        "de" => german,
        "fr" => french,
        _ => english,
    };
    let text = match rest {
        ["sender"] => page(transfer, language, of_language(UPLOADED)),
        ["sent"] => page(transfer, language, of_language(SENT)),
        ["recipients", recipient] => {
            check_id(recipient)?;
            let mut recipients = transfer.recipients.iter();
            let own = recipients.find(|known| known.id == *recipient);
            let url = post::download_url(&world.base_url, &transfer.letter, own.ok_or(NO_ENTITY)?);
            let link = of_language(FOR_YOU);
            page(transfer, language, &format!("<a href=\"{url}\">{link}</a>"))
        }
        _ => return Err(NO_ENDPOINT),
    };
    let mut reply = Reply::empty(200);
    reply.content_type = "text/html;charset=utf-8";
    reply.body = text.into_bytes();
    Ok(reply)
}

fn page(transfer: &SimTransfer, language: &str, told: &str) -> String {
    let subject = transfer.letter.subject.as_deref().unwrap_or_default();
    let body = transfer.letter.body.as_deref().unwrap_or_default();
    format!(
        "<html lang=\"{language}\"><head><title>{subject}</title></head>\
         <body><p>{told}</p>{body}</body></html>"
    )
}
