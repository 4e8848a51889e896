"""Slack's own Python SDK against the emulator: Web API, Socket Mode, signatures, block models.

Takes the emulator's address and secrets as JSON in argv[1]; ends with status 0 only if everything held.
"""

import json
import queue
import sys
import time
import urllib.request

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.models.blocks import (
    ActionsBlock,
    ButtonElement,
    ContextBlock,
    DividerBlock,
    HeaderBlock,
    InputBlock,
    MarkdownTextObject,
    Option,
    PlainTextInputElement,
    PlainTextObject,
    RichTextBlock,
    RichTextElementParts,
    RichTextSectionElement,
    SectionBlock,
    StaticSelectElement,
)
from slack_sdk.models.metadata import Metadata
from slack_sdk.models.views import View
from slack_sdk.signature import SignatureVerifier
from slack_sdk.socket_mode import SocketModeClient as BuiltinClient
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.socket_mode.websocket_client import SocketModeClient as WebsocketClient

WAIT_SECONDS = 20
given = json.loads(sys.argv[1])
web = WebClient(token=given["bot_token"], base_url=given["api_url"] + "/")


def person(path, **body):
    request = urllib.request.Request(
        given["base_url"] + "/client/" + path,
        data=json.dumps(body).encode(),
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=WAIT_SECONDS) as response:
        return json.load(response)


def look(path):
    with urllib.request.urlopen(given["base_url"] + "/client/" + path, timeout=WAIT_SECONDS) as response:
        return json.load(response)


def refused(error, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except SlackApiError as caught:
        assert caught.response["error"] == error, (error, caught.response.data)
        return caught.response
    raise AssertionError(f"{error} was expected")


def web_api():
    me = web.auth_test()
    assert me["user_id"] == given["bot_user_id"] and me["bot_id"]
    assert "chat:write" in me.headers["x-oauth-scopes"]
    assert web.api_test(foo="bar")["args"]["foo"] == "bar"
    refused("invalid_auth", WebClient(token="xoxb-wrong", base_url=given["api_url"] + "/").auth_test)
    refused("not_allowed_token_type", web.apps_connections_open, app_token=given["bot_token"])

    names, cursor = [], None
    while True:
        page = web.conversations_list(limit=2, types="public_channel,private_channel", cursor=cursor)
        names += [channel["name"] for channel in page["channels"]]
        cursor = page["response_metadata"]["next_cursor"]
        if not cursor:
            break
    assert names == ["general", "checkout", "platform", "random", "secret-project", "old-stuff"], names
    assert web.users_lookupByEmail(email="ana@example.com")["user"]["id"] == "U0ANA"
    assert web.users_info(user="U0BEN")["user"]["profile"]["email"] == "ben@example.com"
    refused("users_not_found", web.users_lookupByEmail, email="nobody@example.com")

    refused("channel_not_found", web.chat_postMessage, channel="C0NOWHERE", text="x")
    refused("not_in_channel", web.chat_postMessage, channel="C0RANDOM", text="x")
    refused("is_archived", web.chat_postMessage, channel="C0OLD", text="x")
    refused("no_text", web.chat_postMessage, channel="C0CHECKOUT", text="")
    refused("msg_too_long", web.chat_postMessage, channel="C0CHECKOUT", text="x" * 40_001)
    refused("thread_not_found", web.chat_postMessage, channel="C0CHECKOUT", text="x", thread_ts="1.000001")
    bad = refused("invalid_blocks", web.chat_postMessage, channel="C0CHECKOUT", text="x", blocks=[{"type": "banner"}])
    assert bad["response_metadata"]["messages"] == ["[ERROR] unsupported type: banner [json-pointer:/blocks/0/type]"]

    blocks = [
        HeaderBlock(text="Working"),
        SectionBlock(text=MarkdownTextObject(text="*checkout*"), fields=[PlainTextObject(text="a")]),
        DividerBlock(),
        RichTextBlock(elements=[RichTextSectionElement(elements=[RichTextElementParts.Text(text="plain")])]),
        ContextBlock(elements=[MarkdownTextObject(text="12 s")]),
        ActionsBlock(
            block_id="actions",
            elements=[
                ButtonElement(text="Stop", action_id="stop", value="s-1", style="danger"),
                StaticSelectElement(
                    placeholder="Repository",
                    action_id="pick",
                    options=[Option(value="a", text="Repo A"), Option(value="b", text="Repo B")],
                ),
            ],
        ),
    ]
    root = person("post", user="U0ANA", channel="C0CHECKOUT", text="@longshore it double-charges")["ts"]
    posted = web.chat_postMessage(
        channel="C0CHECKOUT",
        thread_ts=root,
        text="Working",
        blocks=blocks,
        metadata=Metadata(event_type="card", event_payload={"key": "k-1"}),
    )
    refused("cant_update_message", web.chat_update, channel="C0CHECKOUT", ts=root, text="x")
    refused("message_not_found", web.chat_update, channel="C0CHECKOUT", ts="1.000001", text="x")
    web.chat_update(channel="C0CHECKOUT", ts=posted["ts"], text="Done", blocks=blocks[:2])

    plain = web.conversations_replies(channel="C0CHECKOUT", ts=root)
    assert [message["user"] for message in plain["messages"]] == ["U0ANA", given["bot_user_id"]]
    assert "metadata" not in plain["messages"][1]
    whole = web.conversations_replies(channel="C0CHECKOUT", ts=root, include_all_metadata=True)
    assert whole["messages"][1]["metadata"]["event_payload"] == {"key": "k-1"}
    assert whole["messages"][1]["text"] == "Done" and len(whole["messages"][1]["blocks"]) == 2
    first = web.conversations_replies(channel="C0CHECKOUT", ts=root, limit=1)
    assert first["has_more"] and first["messages"][0]["reply_count"] == 1
    rest = web.conversations_replies(
        channel="C0CHECKOUT", ts=root, limit=1, cursor=first["response_metadata"]["next_cursor"]
    )
    assert rest["messages"][0]["ts"] == posted["ts"] and not rest["has_more"]

    assert posted["ts"].replace(".", "") in web.chat_getPermalink(channel="C0CHECKOUT", message_ts=posted["ts"])["permalink"]
    web.reactions_add(channel="C0CHECKOUT", timestamp=root, name="eyes")
    refused("already_reacted", web.reactions_add, channel="C0CHECKOUT", timestamp=root, name="eyes")
    assert web.reactions_get(channel="C0CHECKOUT", timestamp=root)["message"]["reactions"][0]["count"] == 1
    web.reactions_remove(channel="C0CHECKOUT", timestamp=root, name="eyes")
    web.chat_postEphemeral(channel="C0CHECKOUT", user="U0ANA", text="only you")
    assert look("users/U0ANA/ephemeral")["messages"][-1]["text"] == "only you"

    uploaded = web.files_upload_v2(
        channel="C0CHECKOUT", thread_ts=root, filename="shot.png", title="Before", content=b"\x89PNG", initial_comment="see"
    )
    file = web.files_info(file=uploaded["file"]["id"])["file"]
    assert file["title"] == "Before" and file["size"] == 4
    request = urllib.request.Request(file["url_private"], headers={"Authorization": "Bearer " + given["bot_token"]})
    with urllib.request.urlopen(request, timeout=WAIT_SECONDS) as response:
        assert response.read() == b"\x89PNG"
    web.chat_delete(channel="C0CHECKOUT", ts=posted["ts"])
    refused("message_not_found", web.chat_delete, channel="C0CHECKOUT", ts=posted["ts"])


def socket_mode(kind):
    heard = queue.Queue()
    client = kind(app_token=given["app_token"], web_client=web)

    def listen(client, request):
        heard.put(request)
        payload = None
        if request.type == "slash_commands":
            payload = {"text": "nothing runs"}
        elif request.type == "interactive" and request.payload["type"] == "view_submission":
            payload = {"response_action": "errors", "errors": {"why": "too short"}}
        elif request.type == "interactive" and request.payload["type"] == "block_actions":
            web.views_open(
                trigger_id=request.payload["trigger_id"],
                view=View(
                    type="modal",
                    title="Stop",
                    submit="Stop",
                    blocks=[InputBlock(block_id="why", label="Why", element=PlainTextInputElement(action_id="text"))],
                ),
            )
        client.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id, payload=payload))

    kept = []

    def hear(wanted):
        """The first request that is wanted. The SDK hands envelopes to several threads, so others may come before it and are kept."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            for request in kept:
                if wanted(request, request.payload.get("event", request.payload)):
                    kept.remove(request)
                    return request
            kept.append(heard.get(timeout=max(0.01, deadline - time.monotonic())))

    client.socket_mode_request_listeners.append(listen)
    client.connect()
    root = person("post", user="U0ANA", channel="C0PLATFORM", text="@longshore please")["ts"]
    mention = hear(lambda _, event: event.get("type") == "app_mention" and event["ts"] == root)
    message = hear(lambda _, event: event.get("type") == "message" and event["ts"] == root)
    assert mention.payload["event_id"] != message.payload["event_id"]
    assert message.payload["authorizations"][0]["user_id"] == given["bot_user_id"]

    person("slash", user="U0ANA", channel="C0PLATFORM", text="/agent status")
    command = hear(lambda request, _: request.type == "slash_commands")
    assert (command.payload["command"], command.payload["text"]) == ("/agent", "status")
    assert look("users/U0ANA/ephemeral")["messages"][-1]["text"] == "nothing runs"

    card = web.chat_postMessage(
        channel="C0PLATFORM",
        thread_ts=root,
        text="card",
        blocks=[ActionsBlock(elements=[ButtonElement(text="Stop", action_id="stop", value="s-1")])],
    )
    person("action", user="U0ANA", channel="C0PLATFORM", ts=card["ts"], action_id="stop")
    pressed = hear(lambda request, body: body.get("type") == "block_actions")
    assert pressed.payload["actions"][0]["value"] == "s-1" and pressed.payload["container"]["thread_ts"] == root
    refused("exchanged_trigger_id", web.views_open, trigger_id=pressed.payload["trigger_id"], view=a_view())
    view = look("users/U0ANA/views")["views"][-1]
    outcome = person("views/submit", user="U0ANA", view_id=view["id"], values={"why": {"text": "x"}})
    assert outcome == {"ok": True, "outcome": "errors", "errors": {"why": "too short"}}, outcome
    submitted = hear(lambda request, body: body.get("type") == "view_submission")
    assert submitted.payload["view"]["state"]["values"]["why"]["text"]["value"] == "x"
    client.close()


def a_view():
    return View(type="modal", title="T", blocks=[DividerBlock()])


def signatures():
    body, timestamp = "a=1", str(int(time.time()))
    verifier = SignatureVerifier(given["signing_secret"])
    signed = given["signed"]
    assert SignatureVerifier(given["signing_secret"]).generate_signature(
        timestamp=signed["timestamp"], body=signed["body"]
    ) == signed["signature"]
    assert not verifier.is_valid(body=body, timestamp=timestamp, signature=signed["signature"])


web_api()
signatures()
socket_mode(BuiltinClient)
socket_mode(WebsocketClient)
print("slack_sdk agrees")
