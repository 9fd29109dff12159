//! What to do about each failure and each alert, from the documentation, served
//! where it is needed: also without a way to the internet.
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

/// The runbook of a label `reason`, of an alert, or of the ledger.
pub(super) fn find(name: &str) -> Option<Runbook> {
    macro_rules! runbooks {
        (reasons: $($reason:literal)*, others: $($other:literal)*) => {
            match name {
                $($reason => Some(Runbook(include_str!(concat!(
                    "../../docs/runbooks/reasons/", $reason, ".md"
                )))),)*
                $($other => Some(Runbook(include_str!(concat!(
                    "../../docs/runbooks/", $other, ".md"
                )))),)*
                _ => None,
            }
        };
    }
    runbooks!(
        reasons: "unreachable" "tls" "timeout" "unauthorized" "not_verified" "not_licensed"
            "version" "throttled" "not_found" "rejected" "redirected" "server" "malformed"
            "too_large",
        others: "ledger"
            "CryptshareExporterDown" "CryptsharePollStale" "CryptshareServerUnreachable"
            "CryptshareNotLicensed" "CryptshareNotVerified" "CryptshareTokenExpiring"
            "CryptshareServerClockOffset" "CryptshareTransfersNotExported"
            "CryptshareExporterLedgerFailing" "CryptshareExporterConfigReloadFailed"
            "CryptshareTransferNotFound" "CryptshareStuckInProcessing" "CryptshareTransferFailed"
            "CryptshareRecipientNotificationFailed" "CryptshareSenderNotificationFailed"
            "CryptshareFileRemoved" "CryptshareEmlCreationFailed" "CryptshareDeletedBySecurity"
            "CryptshareExpiringUnretrieved" "CryptshareEndedUnretrieved"
            "CryptshareTransferVanished" "CryptshareOverdueForCleanup"
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
