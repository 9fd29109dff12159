//! The errors of the contract (section 1.3).
//!
//! **Invariants.** Every code stands here once, with the status that it comes
//! with.

use crate::simulator::reply::Reply;

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    status: u16,
    code: u64,
    text: &'static str,
    /// Seconds to wait.
    wait: Option<u64>,
    /// What the limit was.
    limit: Option<u32>,
}

pub(super) const MISSING_PARAMETER: Refusal = new(400, 1002, "A required parameter is missing.");
pub(super) const WRONG_VALUE: Refusal = new(400, 1004, "A parameter has a wrong value.");
pub(super) const WRONG_PATH: Refusal = new(400, 1005, "A path variable is malformed.");
pub(super) const NO_ENDPOINT: Refusal = new(404, 1006, "Endpoint does not exist.");
pub(super) const NO_ENTITY: Refusal = new(404, 2003, "Entity does not exist.");
pub(super) const NO_VERSION: Refusal = new(404, 2004, "API version is not supported.");
pub(super) const AGAINST_RULES: Refusal = new(409, 2001, "Values violate the transfer rules.");
pub(super) const NOT_LICENSED: Refusal = new(403, 3001, "Product not licensed.");
pub(super) const SENDER_DENIED: Refusal = new(403, 3010, "Sender is rejected by the policy.");
pub(super) const RECIPIENT_DENIED: Refusal = new(
    403,
    3011,
    "Sender and recipient are rejected by the policy.",
);
pub(super) const WRONG_PASSWORD: Refusal = new(401, 3003, "Wrong transfer password.");
pub(super) const LOCKED: Refusal = new(403, 2005, "Entity is locked.");
pub(super) const DELETED_NOW: Refusal = new(410, 2006, "Transfer is deleted with this request.");
pub(super) const LOGGING_IS_OFF: Refusal = new(403, 3004, "Remote logging is not permitted.");
pub(super) const WRONG_PACK: Refusal = new(404, 1005, "Language pack id is malformed.");
pub(super) const NO_QUICK: Refusal = new(501, 5001, "Security mode QUICK is not supported.");
pub(super) const NO_EID: Refusal = new(501, 5002, "Security mode eID is not supported.");
pub(super) const INTERNAL: Refusal = new(500, 5000, "Internal error.");
pub(super) const NO_VERSION_406: Refusal = new(406, 2004, "API version is not supported.");
pub(super) const WRONG_TOKEN: Refusal = new(401, 3002, "Verification token is wrong.");
pub(super) const WRONG_VERIFICATION: Refusal = new(403, 3002, "Invalid verification data.");
/// The contract names the status and no code.
pub(super) const METHOD_IS_OFF: Refusal = new(501, 5000, "The method is not enabled.");

impl Refusal {
    /// Too many requests at the same time.
    pub(super) const fn throttled(seconds: u64) -> Self {
        let mut refusal = new(429, 2007, "Too many requests at the same time.");
        refusal.wait = Some(seconds);
        refusal
    }

    /// The same where so many are permitted.
    pub(super) const fn limited(limit: u32, seconds: u64) -> Self {
        let mut refusal = Self::throttled(seconds);
        refusal.limit = Some(limit);
        refusal
    }

    /// The error envelope (contract 1.2), at top level.
    pub(super) fn reply(self) -> Reply {
        let mut reply = Reply::error(self.status, self.code, self.text);
        reply.retry_after = self.wait;
        let limits = self.limit.map(|limit| limits(limit, 0));
        reply.headers = limits.unwrap_or_default();
        reply
    }
}

const fn new(status: u16, code: u64, text: &'static str) -> Refusal {
    Refusal {
        status,
        code,
        text,
        wait: None,
        limit: None,
    }
}

/// What the head of an answer tells while requests are limited (contract 1.5).
pub(super) fn limits(limit: u32, left: u32) -> Vec<(&'static str, String)> {
    vec![
        ("x-ratelimit-limit", limit.to_string()),
        ("x-ratelimit-remaining", left.to_string()),
    ]
}
