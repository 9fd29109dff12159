"""Lets schemathesis reach beyond the doors of a simulated server.

What it makes up is well formed, but nobody's: it has no token, and knows of no
transfer. Where it means a part of a request to be right, that part becomes what
the test has prepared and tells in the environment.
"""

import itertools
import json
import os

import schemathesis
from hypothesis import strategies as st
from schemathesis.core.parameters import ParameterLocation

PREPARED = json.loads(os.environ["JUDGE_PREPARED"])
# Path variables of the active transfer, and of the open session.
TRANSFER = PREPARED["transfer"]
SESSION = PREPARED["session"]
# By operation, path variables of what it may end.
SPARES = PREPARED["spares"]

numbers = itertools.count()
names = st.sampled_from(["trackingId", "status", "state", "transfer", "files", "id", "nobody"])
fields = st.recursive(
    names,
    lambda inner: st.tuples(names, st.lists(inner, min_size=1, max_size=3)).map(
        lambda item: f"{item[0]}({','.join(item[1])})"
    ),
    max_leaves=8,
)
schemathesis.openapi.format("fields", st.lists(fields, min_size=1, max_size=3).map(", ".join))


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """With JUDGE_TWINS what headers tell is told by their twins in the query."""
    by_twins = "JUDGE_TWINS" in os.environ
    for parameter in raw_schema["components"]["parameters"].values():
        twin = parameter.pop("x-query-twin", None)
        if twin and by_twins:
            parameter.update({"name": twin, "in": "query"})
    for path in raw_schema["paths"].values():
        for operation in path.values():
            if isinstance(operation, dict) and "security" in operation:
                is_wanted = lambda scheme: by_twins == scheme.endswith("Twin")
                schemes = operation["security"]
                operation["security"] = [item for item in schemes if all(map(is_wanted, item))]


@schemathesis.hook
def before_call(context, case, kwargs):
    """Makes right parts those of the prepared transfer, or of the session."""
    components = case.meta.components
    def is_right(location):
        return location not in components or components[location].mode.is_positive

    if is_right(ParameterLocation.HEADER) and "X-CS-ClientId" in (case.headers or {}):
        case.headers["X-CS-ClientId"] = PREPARED["client_id"]
    if is_right(ParameterLocation.QUERY) and "client-id" in (case.query or {}):
        case.query["client-id"] = PREPARED["client_id"]
    operation = case.operation.definition.raw.get("operationId")
    is_linked = case.meta.phase.name.value == "stateful"
    if is_right(ParameterLocation.PATH):
        settle(case.path_parameters or {}, operation, is_linked, "transfer-sessions" in case.path)
    if is_right(ParameterLocation.BODY):
        if operation == "addFile":
            # Names are unique, and what the stateful phase uploads has three bytes.
            case.body = dict(case.body, fileName=f"{next(numbers)}{case.body['fileName']}")
            if is_linked:
                case.body["size"] = 3
        elif operation == "uploadFile":
            case.body = b"abc"


def settle(variables, operation, is_linked, is_session):
    """Gives path variables their values."""
    known = SESSION if is_session else TRANSFER
    if "email" in variables:
        variables["email"] = known["email"]
    if operation in SPARES:
        # What was prepared must not end; each of the spares does once.
        is_prepared = {TRANSFER["tracking-id"], SESSION["tracking-id"]} & set(variables.values())
        if (is_prepared or not is_linked) and SPARES[operation]:
            spare = SPARES[operation].pop()
            variables.update({name: spare[name] for name in variables.keys() & spare.keys()})
        elif is_prepared:
            variables["tracking-id"] = "20260401-081500-Qx7Lm2Za"
    elif not is_linked:
        variables.update({name: known[name] for name in variables.keys() & known.keys()})


@schemathesis.hook
def after_call(context, case, response):
    """Notes each answer, so that the test sees what was reached."""
    with open(os.environ["JUDGE_ANSWERS"], "a", encoding="utf-8") as answers:
        print(response.status_code, case.operation.label, file=answers)
