//! Faults in the items of a list.
//!
//! **Invariants.** An answer without a list stays as it is.

use serde_json::{Value, json};

use crate::simulator::reply::Reply;

/// Lets `change` have the items of the list that is answered.
pub(super) fn change(reply: &mut Reply, change: impl FnOnce(&mut Vec<Value>)) {
    let Ok(mut body) = serde_json::from_slice::<Value>(&reply.body) else {
        return;
    };
    if let Some(items) = body.pointer_mut("/data").and_then(Value::as_array_mut) {
        change(items);
        reply.body = body.to_string().into_bytes();
    }
}

/// Every item comes twice.
pub(super) fn double(items: &mut Vec<Value>) {
    *items = items
        .drain(..)
        .flat_map(|item| [item.clone(), item])
        .collect();
}

/// One of the items makes no sense.
pub(super) fn corrupt(items: &mut [Value], draw: usize) {
    let nonsense = [
        Value::Null,
        json!("nonsense"),
        json!({"trackingId": [7], "state": {}, "recipients": "none", "status": 5}),
    ];
    let place = draw.checked_rem(items.len()).unwrap_or_default();
    let mut nonsense = nonsense.into_iter().cycle().skip(draw % 3);
    if let (Some(item), Some(nonsense)) = (items.get_mut(place), nonsense.next()) {
        *item = nonsense;
    }
}
