"""Sends, watches, receives and revokes by Python's requests; SERVER is where.

It knows the contract of the REST API and nothing else, but for the mailbox of
the simulator, from which it reads the code like a person.
"""

import hashlib
import os
import time
import urllib.parse

import requests

SERVER = os.environ["SERVER"]
SENDER = "grace@example.net"
RECIPIENT = "bob@example.org"
PASSWORD = "Sesame 2026/ü"
CONTENT = b"Dear Bob, here is the offer.\n" * 100

api = requests.Session()
api.headers.update({"X-CS-MajorApiVersion": "1", "X-CS-MinimumMinorApiVersion": "12"})
user = f"{SERVER}/api/users/{SENDER}"


def good(answer, status=200):
    """The answer, which must have this status."""
    assert answer.status_code == status, (answer.status_code, answer.text)
    return answer


def data(answer):
    """What a good answer tells."""
    return good(answer).json()["data"]


def mails(address):
    """What has been mailed to the address, oldest first."""
    return good(requests.get(f"{SERVER}/_sim/mailbox", params={"email": address})).json()


def verify():
    """Gets a token by a mailed code."""
    api.headers["X-CS-ClientId"] = data(api.get(f"{SERVER}/api/clients"))["clientId"]
    state = data(api.get(f"{user}/verification"))
    assert not state["verified"] and "email" in state["verificationMethods"], state
    good(api.post(f"{user}/verification/code/email"))
    code = mails(SENDER)[-1]["code"]
    token = data(api.post(f"{user}/verification/token", json={"verificationCode": code}))
    api.headers["X-CS-VerificationToken"] = token["token"]
    assert data(api.get(f"{user}/verification"))["verified"]


def send():
    """Sends two files, one of them in chunks; the answer is the transfer's URL."""
    assert data(api.post(f"{user}/transfer-policy", json={"recipients": [RECIPIENT]}))["allowed"]
    session = {"sender": {"name": "Grace", "phone": "0"}, "recipients": {"to": [{"mail": RECIPIENT}], "cc": [], "bcc": []}}
    session = good(api.post(f"{user}/transfer-sessions", json=session), 201).headers["Location"]
    mode = {"name": "ONE_TIME_PASSWORD", "config": {"passwordMode": "MANUAL", "password": PASSWORD}}
    data(api.patch(session, json={"securityMode": mode, "classificationId": None}))
    checksum = hashlib.sha256(CONTENT).hexdigest()
    for name, content in [("offer.txt", CONTENT), ("chunks.txt", iter([CONTENT[:7], CONTENT[7:]]))]:
        file = {"fileName": name, "size": len(CONTENT), "checksum": checksum}
        file = good(api.post(f"{session}/files", json=file), 201).headers["Location"]
        assert not good(api.put(f"{file}/content", data=content)).content
    return good(api.post(session), 201).headers["Location"]


def watch(transfer):
    """Watches the transfer become active; the answer is its status."""
    states = []
    for _ in range(600):
        status = data(api.get(transfer))["status"]
        states.append(status["state"])
        if states[-1] != "PROCESSING":
            break
        time.sleep(0.05)
    assert (states[0], states[-1]) == ("PROCESSING", "ACTIVE"), states
    return status


def read_lists(transfer):
    """Finds the transfer in each list."""
    tracking_id = transfer.rsplit("/", 1)[1]
    [short] = data(api.get(f"{user}/transfers", params={"page": 1, "page-size": 100}))
    assert (short["trackingId"], short["state"]) == (tracking_id, "ACTIVE"), short
    assert urllib.parse.urljoin(SERVER, short["href"]) == transfer
    query = {"active": "true", "fields": "trackingId, transfer(files(fileName, size))"}
    [item] = data(api.get(f"{user}/transfers/sent-transfers", params=query))
    names = {file["fileName"] for file in item["transfer"]["files"]}
    assert names == {"offer.txt", "chunks.txt"}, item


def receive():
    """Fetches all as the recipient, who has the mail and the password."""
    mail = mails(RECIPIENT)[-1]
    assert mail["kind"] == "recipient_notification", mail
    there = f"{SERVER}/api/transfers/{mail['transferId']}"
    wrong = api.get(there, headers={"X-CS-Password": "wrong"})
    assert (wrong.status_code, wrong.json()["errorCode"]) == (401, 3003)
    key = {"X-CS-Password": urllib.parse.quote(PASSWORD, safe="")}
    assert data(api.get(there, headers=key))["totalSize"] == 2 * len(CONTENT)
    checksum = hashlib.sha256(CONTENT).hexdigest()
    for file in data(api.get(f"{there}/files", headers=key)):
        # The link carries all that is needed.
        fetched = good(requests.get(urllib.parse.urljoin(SERVER, file["href"])))
        assert fetched.content == CONTENT and file["checksum"] == checksum, file
    lines = good(api.get(f"{there}/checksums", headers=key)).text.splitlines()
    assert sorted(lines) == [f'"{name}",SHA-256,{checksum}' for name in ("chunks.txt", "offer.txt")]


def revoke(transfer):
    """Revokes the transfer, once."""
    wanted = {"status": {"state": "DELETED_BY_REVOCATION"}, "revocationOptions": {"message": "Sorry"}}
    assert api.patch(transfer, json=wanted).status_code in (200, 204)
    status = data(api.get(transfer))["status"]
    assert status["state"] == "DELETED_BY_REVOCATION", status
    [recipient] = status["recipients"]
    assert [len(file["downloads"]) for file in recipient["fileDownloads"]] == [1, 1], status
    assert api.patch(transfer, json=wanted).json()["errorCode"] == 2001


verify()
sent = send()
watch(sent)
read_lists(sent)
receive()
revoke(sent)
print(sent.rsplit("/", 1)[1])
