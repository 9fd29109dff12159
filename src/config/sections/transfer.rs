//! One `[[server.transfer]]`, or one `[[transfer]]` of a watch file.
//!
//! **Invariants.** Both have the same keys.

use super::{Surroundings, Table};
use crate::config::{NamedTransfer, document::Place, values};

/// One transfer that is named: where its id stands, the address of its sender
/// and where that stands, and itself.
pub(super) fn entry(
    mut table: Table<'_>,
    around: &Surroundings,
) -> Option<(Place, (Place, String), NamedTransfer)> {
    let sender = table.parsed("sender", values::address);
    let tracking_id = table.parsed("tracking_id", values::tracking_id);
    for key in ["sender", "tracking_id"] {
        if !table.is_told(key) {
            table.wrong(format!("there is no {key}"), format!("add {key} = \"…\""));
        }
    }
    let name = table.parsed("name", values::label).map(|(_, name)| name);
    table.finish();
    let (place, tracking_id) = tracking_id?;
    if !tracking_id.is_familiar() {
        let wrong = "does not look like the ids that known servers hand out";
        around.warn(&place, wrong, "check it if the transfer is not found");
    }
    let sender = sender?;
    let named = NamedTransfer {
        tracking_id,
        name: name.unwrap_or_default(),
    };
    Some((place, sender, named))
}
