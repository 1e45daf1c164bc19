#!/usr/bin/env bash
# The API from the first sign-in to a published post, with nothing but curl: walk.sh GATEWAY USERNAME PASSWORD BOT_NAME
# On a stack with the X sandbox, whose consent page stands in for the owner of the account.
set -euo pipefail
gateway=$1 username=$2 password=$3 bot=$4

# "name": "value" out of a JSON answer; a program would parse it.
field() { sed -n "s/.*\"$1\":\"\\([^\"]*\\)\".*/\\1/p"; }
call() { curl --silent --show-error --fail-with-body --header "Authorization: Bearer ${token-}" --json "${3-}" --request "$1" "$gateway/api/v1$2"; }
look() { curl --silent --show-error --fail-with-body --header "Authorization: Bearer $token" "$gateway/api/v1$1"; }
step() { printf '\n== %s\n' "$1"; }

step "sign in"
token=$(curl --silent --fail-with-body --json "{\"username\": \"$username\", \"password\": \"$password\"}" \
  "$gateway/api/v1/auth/login" | field access_token)
curl --silent --fail-with-body --get --data-urlencode "token=$token" "$gateway/api/v1/auth/validate"

step "make a voice, and a bot that waits for the owner of its account"
call POST /personas/create "{\"name\": \"Voice of $bot\", \"tone\": \"plain\", \"interests\": [\"weather\"]}"
created=$(call POST /bots/create "{\"bot_name\": \"$bot\", \"persona\": \"Voice of $bot\", \"operator_handle\": \"vive_ops\",
  \"labels\": [\"walk\"], \"automation_label\": {\"by\": \"$username\", \"confirmed_on\": \"2026-11-01\"}}")
echo "$created"

step "grant access at the login_url, as the owner would in a browser"
login_url=$(echo "$created" | field login_url)
query=${login_url#*\?}
curl --silent --fail-with-body --location --data "$query" --data "username=$bot" --data "decision=allow" \
  --data-urlencode "name=$bot" --data-urlencode "description=Automated by @vive_ops" "${login_url%%\?*}" |
  grep --only-matching "@$bot is connected"
look "/bots/$bot" | field state

step "schedule a post; sent twice with one key, it stands once"
due_at=$(date --utc --date "+5 seconds" +%Y-%m-%dT%H:%M:%SZ)
post="[{\"bot\": \"$bot\", \"text\": \"Good morning from $bot at $due_at\", \"due_at\": \"$due_at\"}]"
for _ in 1 2; do
  receipt=$(curl --silent --show-error --fail-with-body --header "Authorization: Bearer $token" \
    --header "Idempotency-Key: $bot-morning" --json "$post" "$gateway/api/v1/posts")
  echo "$receipt"
done
look "/posts?bot=$bot" | grep --only-matching '"status"' | wc --lines

step "see it out"
post_id=$(echo "$receipt" | field post_id)
for _ in $(seq 120); do
  status=$(look "/posts/$post_id/why" | field status)
  [ "$status" = published ] && break
  sleep 0.5
done
look "/posts/$post_id/why"
[ "$status" = published ]

step "read settings, change one, and take it back"
look "/config/settings?service_name=media"
revision=$(call POST /config/update '{"settings_data": {"media": {"uploaders": 3}}}' | sed -n 's/.*"revision":\([0-9]*\).*/\1/p')
look "/config/settings?service_name=media" | grep --only-matching '"key":"media.uploaders","service":"media","value":3,"origin":"override"'
call POST /config/rollback "{\"revision\": $((revision - 1))}"

step "what was done, by the log"
look "/logs?actor=$username&limit=5"

step "keep something of the bot's, encrypted; it comes back sealed"
call POST /botdata/store "{\"bot_id\": \"$bot\", \"name\": \"contact\", \"data\": {\"mail\": \"desk@example.org\"}}"
sealed=$(look "/botdata/retrieve?bot_id=$bot&name=contact")
echo "$sealed"
! echo "$sealed" | grep --quiet example.org
