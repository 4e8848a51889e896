"""Holds calls of Slack's Web API against the models of Slack's own Python SDK.

Reads calls from standard input, one JSON object a line, as the emulator logs them (`method`, `payload`). Prints each problem as a line of JSON
(`call`, `method`, `problem`), then `{"calls", "messages", "views", "blocks"}`: how many were looked at. Ends with status 1 where there was a problem.

The SDK leaves out what it does not know and says so in its log: here that is a problem, as is everything that it would send otherwise than
it was given. What it leaves to Slack (numbers of blocks, ids that must differ, words for screen readers) is checked here.
"""

import json
import logging
import sys

from slack_sdk.models.attachments import Attachment
from slack_sdk.models.blocks import Block, Option, OptionGroup
from slack_sdk.models.metadata import Metadata
from slack_sdk.models.views import View

MESSAGES = {"chat.postMessage", "chat.update", "chat.postEphemeral", "response_url", "slash_command.acknowledge"}
VIEWS = {"views.open", "views.push", "views.update", "views.publish"}
# These take blocks beside other things, and no words of their own.
WITH_BLOCKS = {"files.completeUploadExternal"}
MOST_BLOCKS_OF_A_MESSAGE = 50
# Slack's documentation: what is longer is cut at 40,000, and should be at most this.
MOST_CHARACTERS_OF_TEXT = 4_000
MOST_CHARACTERS_OF_MARKDOWN = 12_000
MOST_CHARACTERS_OF_A_BLOCK_ID = 255


class Warnings(logging.Handler):
    def __init__(self):
        super().__init__(logging.WARNING)
        self.said = []

    def emit(self, record):
        self.said.append(record.getMessage())

    def take(self):
        said, self.said = self.said, []
        return said


warnings = Warnings()
logging.getLogger().addHandler(warnings)
seen = {"calls": 0, "messages": 0, "views": 0, "blocks": 0}


def parsed(value):
    """Forms carry JSON as text."""
    return json.loads(value) if isinstance(value, str) else value


def attempt(what, check):
    """What the SDK says against it, by an exception or in its log."""
    try:
        found = list(check() or [])
    except Exception as error:  # the SDK raises whatever Python does where a field is missing or no field
        found = [f"{type(error).__name__}: {error}"]
    return [f"{what}: {problem}" for problem in found + warnings.take()]


def pieces(value):
    """Every object inside, itself included."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from pieces(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from pieces(inner)


def difference(given, sent, path="$"):
    """The first place where the SDK would send something else."""
    if isinstance(given, dict) and isinstance(sent, dict):
        for key in sorted(set(given) | set(sent)):
            if key not in sent:
                return f"the SDK drops {path}.{key}"
            if key not in given:
                return f"the SDK adds {path}.{key}"
            found = difference(given[key], sent[key], f"{path}.{key}")
            if found:
                return found
        return None
    if isinstance(given, list) and isinstance(sent, list) and len(given) == len(sent):
        return next(filter(None, (difference(a, b, f"{path}[{n}]") for n, (a, b) in enumerate(zip(given, sent)))), None)
    return None if given == sent else f"the SDK changes {path}"


def check_block(given):
    block = Block.parse(given)
    if block is None:
        yield "no kind of block that the SDK knows"
        return
    block.validate_json()
    # Converting validates everything inside as well.
    found = difference(given, block.to_dict())
    if found:
        yield found
    for piece in pieces(given):
        # The SDK takes these as they are.
        for option in Option.parse_all(piece.get("options") or []):
            option.to_dict()
        for group in OptionGroup.parse_all(piece.get("option_groups") or []):
            group.to_dict()


def check_blocks(blocks, most):
    if not isinstance(blocks, list):
        yield "blocks are no list"
        return
    if len(blocks) > most:
        yield f"{len(blocks)} blocks, and {most} is the most"
    seen["blocks"] += len(blocks)
    for number, block in enumerate(blocks):
        yield from attempt(f"block {number}", lambda: check_block(block))
    yield from twice("block_id", [block.get("block_id") for block in blocks if isinstance(block, dict)])
    for number, block in enumerate(blocks):
        if len(str(block.get("block_id") or "")) > MOST_CHARACTERS_OF_A_BLOCK_ID:
            yield f"block {number}: its block_id is too long"
        yield from twice(f"block {number}: action_id", [piece.get("action_id") for piece in pieces(block)])
    markdown = sum(len(block.get("text", "")) for block in blocks if block.get("type") == "markdown")
    if markdown > MOST_CHARACTERS_OF_MARKDOWN:
        yield f"{markdown} characters of markdown"


def twice(what, ids):
    known = [each for each in ids if each]
    for each in sorted(set(known)):
        if known.count(each) > 1:
            yield f"{what} {each} is there twice"


def check_message(payload):
    text = payload.get("text")
    if payload.get("delete_original"):
        return
    if not isinstance(text, str) or not text.strip():
        yield "no words for notifications and screen readers"
    elif len(text) > MOST_CHARACTERS_OF_TEXT:
        yield f"a text of {len(text)} characters"
    yield from check_rest(payload)
    for number, given in enumerate(parsed(payload.get("attachments")) or []):
        yield from attempt(f"attachment {number}", lambda: Attachment(**given).validate_json())
    metadata = parsed(payload.get("metadata"))
    if metadata is not None:
        yield from attempt("metadata", lambda: Metadata(**metadata).validate_json())


def check_rest(payload):
    if payload.get("blocks") is not None:
        yield from check_blocks(parsed(payload["blocks"]), MOST_BLOCKS_OF_A_MESSAGE)


def check_view(payload):
    view = parsed(payload.get("view"))
    if not isinstance(view, dict):
        yield "no view"
        return

    def whole():
        made = View(**view)
        made.validate_json()
        if made.additional_attributes:
            yield f"no fields of a view: {sorted(made.additional_attributes)}"
        found = difference(view, made.to_dict())
        if found:
            yield found
        if view.get("type") == "modal" and not view.get("title"):
            yield "a modal without a title"

    yield from attempt("view", whole)
    yield from check_blocks(view.get("blocks"), View.blocks_max_length)


def problems(call):
    method, payload = call["method"], call["payload"]
    if method in MESSAGES:
        seen["messages"] += 1
        return list(check_message(payload))
    if method in VIEWS:
        seen["views"] += 1
        return list(check_view(payload))
    if method in WITH_BLOCKS:
        return list(check_rest(payload))
    if any(field in payload for field in ("blocks", "attachments", "view")):
        return [f"{method} carries blocks, and is not among those that are looked at"]
    return []


def main():
    wrong = False
    for number, line in enumerate(sys.stdin):
        call = json.loads(line)
        seen["calls"] += 1
        for problem in problems(call):
            wrong = True
            print(json.dumps({"call": number, "method": call["method"], "problem": problem}))
    print(json.dumps(seen))
    sys.exit(1 if wrong else 0)


main()
