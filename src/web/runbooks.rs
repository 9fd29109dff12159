//! What to do about each failure, from the documentation, served where it is
//! needed: also without a way to the internet.
//!
//! **Invariants.** The texts are those of `docs/runbooks`.

/// Below this path they are served.
pub(super) const PATH: &str = "/runbooks/";

/// A page of the documentation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Runbook(&'static str);

impl Runbook {
    /// The first line, without its mark.
    pub(super) fn title(self) -> &'static str {
        let first = self.0.lines().next().unwrap_or_default();
        first.trim_start_matches("# ")
    }

    /// What follows the title.
    pub(super) fn text(self) -> &'static str {
        let rest = self.0.split_once('\n').map_or("", |(_, rest)| rest);
        rest.trim_start()
    }
}

/// The runbook of a label `reason`, or of the ledger.
pub(super) fn find(name: &str) -> Option<Runbook> {
    macro_rules! reasons {
        ($($reason:literal)*) => {
            match name {
                $($reason => Some(Runbook(include_str!(concat!(
                    "../../docs/runbooks/reasons/", $reason, ".md"
                )))),)*
                "ledger" => Some(Runbook(include_str!("../../docs/runbooks/ledger.md"))),
                _ => None,
            }
        };
    }
    reasons!(
        "unreachable" "tls" "timeout" "unauthorized" "not_verified" "not_licensed" "version"
        "throttled" "not_found" "rejected" "redirected" "server" "malformed" "too_large"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Reason;

    #[test]
    fn each_reason_has_its_runbook() {
        let names = Reason::ALL.map(Reason::label);
        for name in names.into_iter().chain(["ledger"]) {
            let runbook = find(name).expect(name);
            assert!(!runbook.title().starts_with('#'), "{name}");
            assert!(runbook.text().contains("What to look at"), "{name}");
        }
        assert!(find("nothing").is_none());
    }
}
