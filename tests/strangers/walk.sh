#!/usr/bin/env bash
# Sends, watches, receives and revokes by wget; SERVER is where. Prints the
# tracking id.
#
# What headers tell is told by their twins in the query: wget is as simple a
# client as can be.
set -euo pipefail

user=$SERVER/api/users/heidi@example.net
general="major-api-version=1&minimum-minor-api-version=12"

# Asks by the method $1 for $2, with the body $3; the head goes to answer.head.
ask() {
    wget -q -O - --server-response --method="$1" --body-data="${3:-}" "$2" 2>answer.head
}

# The URL of Location in the last head.
location() { sed -n 's/\r$//; s/^ *[Ll]ocation: //p' answer.head; }

general+="&client-id=$(ask GET "$SERVER/api/clients?$general" | jq -re .data.clientId)"
ask POST "$user/verification/code/email?$general"
code=$(ask GET "$SERVER/_sim/mailbox?email=heidi@example.net" | jq -re '.[-1].code')
token=$(ask POST "$user/verification/token?$general" "{\"verificationCode\": \"$code\"}" | jq -re .data.token)
own="$general&verification-token=$token"

ask POST "$user/transfer-sessions?$own" '{"sender": {}, "recipients": {"cc": [{"mail": "carol@example.org"}]}}'
session=$(location)
mode='{"name": "ONE_TIME_PASSWORD", "config": {"passwordMode": "MANUAL", "password": "Sesame2026"}}'
ask PATCH "$session?$own" "{\"securityMode\": $mode}" | jq -e .data.securityMode >/dev/null
printf 'Dear Carol\n' >letter.txt
ask POST "$session/files?$own" '{"fileName": "letter.txt", "size": 11}' | jq -e .data.fileId >/dev/null
wget -q -O - --method=PUT --body-file=letter.txt "$(location)/content?$own"
ask POST "$session?$own"
transfer=$(location)

state() { ask GET "$transfer?$own" | jq -re .data.status.state; }
[ "$(state)" = PROCESSING ]
for _ in $(seq 600); do
    [ "$(state)" = PROCESSING ] || break
    sleep 0.05
done
[ "$(state)" = ACTIVE ]
ask GET "$user/transfers?$own&page-size=1" | jq -e '.data[0].state == "ACTIVE"' >/dev/null
ask GET "$user/transfers/sent-transfers?$own&fields=status(state)" |
    jq -e '.data == [{"status": {"state": "ACTIVE"}}]' >/dev/null

id=$(ask GET "$SERVER/_sim/mailbox?email=carol@example.org" | jq -re '.[-1].transferId')
there=$SERVER/api/transfers/$id
if ask GET "$there?$general&password=wrong"; then
    echo "a wrong password opens" >&2
    exit 1
fi
grep -q ' 401 ' answer.head
href=$(ask GET "$there/files?$general&password=Sesame2026" | jq -re '.data[0].href')
wget -q --content-disposition -P fetched "$SERVER$href"
cmp letter.txt fetched/*
ask GET "$there/checksums?$general&password=Sesame2026" | grep -q "$(sha256sum <letter.txt | cut -d' ' -f1)"

ask PATCH "$transfer?$own" '{"status": {"state": "DELETED_BY_REVOCATION"}}'
[ "$(state)" = DELETED_BY_REVOCATION ]
echo "${transfer##*/}"
