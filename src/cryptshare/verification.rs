//! The calls about a sender's verification that need no token (contract,
//! section 3).
//!
//! **Invariants.** A refusal here is `not_verified`: no token would help, but
//! what a human does.

use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use url::Url;

use super::{
    Endpoint, Error,
    answers::{self, Decoded, Grant, Standing},
    identity::Identity,
    transport::{Call, Transport},
};
use crate::model::Reason;

/// How the server would verify the sender, and whether it does.
pub(super) async fn standing(
    transport: &Transport,
    who: &Identity,
) -> Result<Decoded<Standing>, Error> {
    let url = who.url(&["verification"]);
    let call = call(who, Endpoint::Verification, &url);
    let body = transport.send(call).await.map_err(as_unverified)?;
    answers::verification(&body)
}

/// Lets the server mail a code to the sender.
pub(super) async fn mail_code(transport: &Transport, who: &Identity) -> Result<(), Error> {
    let url = who.url(&["verification", "code", "email"]);
    let call = Call {
        method: Method::POST,
        ..call(who, Endpoint::VerificationCode, &url)
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
    let url = who.url(&["verification", "token"]);
    let call = Call {
        method: Method::POST,
        body: Some(&body),
        ..call(who, Endpoint::VerificationToken, &url)
    };
    let body = transport.send(call).await.map_err(as_unverified)?;
    answers::token(&body)
}

fn call<'a>(who: &'a Identity, endpoint: Endpoint, url: &'a Url) -> Call<'a> {
    Call {
        endpoint,
        method: Method::GET,
        url,
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
