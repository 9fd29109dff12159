//! What a query says beside the twins of headers: numbers and switches.
//!
//! **Invariants.** A value that is none is an error, never a default.

use super::refusal::{Refusal, WRONG_VALUE};
use crate::simulator::asked::Asked;

/// A whole number from `least` to what 32 bits with a sign can hold.
pub(super) fn number(asked: &Asked, name: &str, least: u32) -> Result<Option<u32>, Refusal> {
    let Some(text) = asked.query(name) else {
        return Ok(None);
    };
    // `parse` would take a sign, too.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_: &i32| digits);
    let number = number.and_then(|number| u32::try_from(number).ok());
    let number = number.filter(|number| *number >= least);
    number.map(Some).ok_or(WRONG_VALUE)
}

/// `true` or `false`.
pub(super) fn switch(asked: &Asked, name: &str) -> Result<Option<bool>, Refusal> {
    let text = asked.query(name);
    text.map_or(Ok(None), |text| {
        text.parse().map(Some).map_err(|_| WRONG_VALUE)
    })
}
