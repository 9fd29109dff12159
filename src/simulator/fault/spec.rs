//! Faults as the command line writes them.
//!
//! **Invariants.** What is written means what the control API's JSON with the
//! same names means.

use serde_json::{Map, Value, json};

use super::Fault;

/// Reads `KIND` or `KIND,NAME=VALUE,...`, such as
/// `latency,milliseconds=500,share=0.1`.
///
/// # Errors
/// With what is wrong.
pub fn parse(text: &str) -> Result<Fault, String> {
    let mut parts = text.split(',');
    let kind = parts.next().unwrap_or_default().replace('-', "_");
    let mut members = Map::new();
    members.insert("kind".to_owned(), json!(kind));
    for part in parts {
        let (name, value) = part
            .split_once('=')
            .ok_or(format!("\"{part}\" has no value"))?;
        let number = serde_json::from_str(value).ok().filter(Value::is_number);
        members.insert(name.to_owned(), number.unwrap_or_else(|| json!(value)));
    }
    let fault: Fault =
        serde_json::from_value(Value::Object(members)).map_err(|error| error.to_string())?;
    fault.check()?;
    Ok(fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_a_kind_and_what_belongs_to_it() {
        let fault = parse("latency,milliseconds=500,share=0.1,endpoint=transfers").unwrap();
        let told = serde_json::to_value(fault).unwrap();
        assert_eq!(told["milliseconds"], 500);
        assert_eq!(
            (&told["kind"], &told["endpoint"]),
            (&json!("latency"), &json!("transfers"))
        );
        assert!(parse("redirect-loop").is_ok());
        for wrong in [
            "",
            "nothing",
            "latency,share",
            "latency,share=2",
            "latency,odd=1",
            "html,endpoint=x",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        let odd = parse("latency,milliseconds=1,retryAfter=2").unwrap_err();
        let may = "may have milliseconds, endpoint, times, share, seconds";
        let expect = format!("retryAfter means nothing to latency, which {may}");
        assert_eq!(odd, expect);
    }
}
