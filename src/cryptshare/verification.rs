//! The calls about a sender's verification that need no token (contract,
//! section 3).
//!
//! **Invariants.** A refusal here is `not_verified`: no token would help, but
//! what a human does.

use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::{
    Endpoint, Error,
    answers::{self, Decoded, Grant, Standing},
    auth::Identity,
    transport::{Call, Transport},
};
use crate::model::Reason;

/// How the server would verify the sender, and whether it does.
pub(super) async fn standing(
    transport: &Transport,
    who: &Identity,
) -> Result<Decoded<Standing>, Error> {
    let call = call(transport, who, Endpoint::Verification, &[]);
    let body = transport.send(call).await.map_err(as_unverified)?;
    answers::verification(&body)
}

/// Lets the server mail a code to the sender.
pub(super) async fn mail_code(transport: &Transport, who: &Identity) -> Result<(), Error> {
    let path = ["code", "email"];
    let call = Call {
        method: Method::POST,
        ..call(transport, who, Endpoint::VerificationCode, &path)
    };
    transport.send(call).await.map(drop).map_err(as_unverified)
}

/// Asks for a token: with a mailed code, or as the client id permits it.
pub(super) async fn token(
    transport: &Transport,
    who: &Identity,
    code: Option<&SecretString>,
) -> Result<Grant, Error> {
    let body = match code {
        Some(code) => json!({"verificationCode": code.expose_secret()}),
        None => json!({}),
    };
    let body = SecretString::from(body.to_string());
    let call = Call {
        method: Method::POST,
        body: Some(&body),
        ..call(transport, who, Endpoint::VerificationToken, &["token"])
    };
    let body = transport.send(call).await.map_err(as_unverified)?;
    answers::token(&body)
}

fn call<'a>(
    transport: &Transport,
    who: &'a Identity,
    endpoint: Endpoint,
    path: &[&str],
) -> Call<'a> {
    let segments = [&["verification"], path].concat();
    Call {
        endpoint,
        method: Method::GET,
        url: transport.url_of(&who.address, &segments),
        token: None,
        body: None,
        language: &who.language,
    }
}

/// What is refused without a token is no token that ran out.
fn as_unverified(error: Error) -> Error {
    if error.reason() == Reason::Unauthorized {
        return error.with_reason(Reason::NotVerified);
    }
    error
}
