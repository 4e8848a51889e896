"""The model emulator as the official clients of OpenAI and Anthropic see it.

Called with the base URL (ending in /v1) and the API key. Ends with status 0 only if every check holds.
"""

import json
import sys

import anthropic
import openai

BASE, KEY = sys.argv[1], sys.argv[2]
QUESTION = "the csv export breaks when a name contains a comma"
NAMES = ["acme/storefront", "acme/dashboard", "acme/courier"]
CHOICE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["repository", "confidence", "reason"],
    "properties": {
        "repository": {"type": "string", "enum": NAMES + ["unknown"]},
        "confidence": {"type": "number"},
        "reason": {"type": "string"},
    },
}
LISTING = "Repositories:\n- acme/storefront: the shop\n- acme/dashboard: reports and csv export\n- acme/courier: vans\n"
BASH = {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}


def openai_checks():
    client = openai.OpenAI(base_url=BASE, api_key=KEY, max_retries=0)
    assert "longshore-scripted" in [model.id for model in client.models.list()]

    answer = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hello"}])
    assert answer.choices[0].finish_reason == "stop" and "scripted demo model" in answer.choices[0].message.content
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0

    text, finish, usage = "", None, None
    stream = client.chat.completions.create(
        model="m", messages=[{"role": "user", "content": "hello"}], stream=True, stream_options={"include_usage": True}
    )
    for chunk in stream:
        if chunk.choices:
            text += chunk.choices[0].delta.content or ""
            finish = chunk.choices[0].finish_reason or finish
        usage = chunk.usage or usage
    assert (text, finish) == (answer.choices[0].message.content, "stop") and usage.total_tokens > 0

    answer = client.chat.completions.create(
        model="m",
        messages=[{"role": "system", "content": LISTING}, {"role": "user", "content": QUESTION}],
        response_format={"type": "json_schema", "json_schema": {"name": "choice", "strict": True, "schema": CHOICE}},
    )
    choice = json.loads(answer.choices[0].message.content)
    assert choice["repository"] == "acme/dashboard" and set(choice) == set(CHOICE["required"]), choice

    tools = [{"type": "function", "function": {"name": "bash", "description": "Runs a line", "parameters": BASH}}]
    messages = [{"role": "user", "content": QUESTION}]
    whole = client.chat.completions.create(model="m", messages=messages, tools=tools).choices[0]
    assert whole.finish_reason == "tool_calls"
    arguments, call_id = "", None
    for chunk in client.chat.completions.create(model="m", messages=messages, tools=tools, stream=True):
        for call in (chunk.choices[0].delta.tool_calls or []) if chunk.choices else []:
            arguments += call.function.arguments or ""
            call_id = call.id or call_id
    assert call_id == whole.message.tool_calls[0].id
    assert json.loads(arguments) == json.loads(whole.message.tool_calls[0].function.arguments)
    messages += [whole.message.model_dump(exclude_none=True), {"role": "tool", "tool_call_id": call_id, "content": "README.md\nexit status: 0"}]
    assert client.chat.completions.create(model="m", messages=messages, tools=tools).choices[0].finish_reason == "stop"

    try:
        openai.OpenAI(base_url=BASE, api_key="wrong", max_retries=0).models.list()
        raise AssertionError("a wrong key was accepted")
    except openai.AuthenticationError as error:
        assert error.code == "invalid_api_key"
    try:
        client.chat.completions.create(model="m", messages=[{"role": "tool", "tool_call_id": "none", "content": "x"}])
        raise AssertionError("a result without its call was accepted")
    except openai.BadRequestError:
        pass


def anthropic_checks():
    client = anthropic.Anthropic(base_url=BASE.removesuffix("/v1"), api_key=KEY, max_retries=0)
    assert "longshore-scripted" in [model.id for model in client.models.list()]

    answer = client.messages.create(model="m", max_tokens=99, messages=[{"role": "user", "content": "hello"}])
    assert answer.stop_reason == "end_turn" and "scripted demo model" in answer.content[0].text
    assert answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0
    with client.messages.stream(model="m", max_tokens=99, messages=[{"role": "user", "content": "hello"}]) as stream:
        assert "".join(stream.text_stream) == answer.content[0].text
        assert stream.get_final_message().stop_reason == "end_turn"

    tools = [{"name": "bash", "description": "Runs a line", "input_schema": BASH}]
    messages = [{"role": "user", "content": QUESTION}]
    with client.messages.stream(model="m", max_tokens=99, messages=messages, tools=tools) as stream:
        called = stream.get_final_message()
    use = called.content[-1]
    assert called.stop_reason == "tool_use" and use.name == "bash" and use.input["command"]
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "README.md\nexit status: 0"}
    messages += [{"role": "assistant", "content": called.content}, {"role": "user", "content": [result]}]
    assert client.messages.create(model="m", max_tokens=99, messages=messages, tools=tools).stop_reason == "end_turn"

    forced = client.messages.create(
        model="m",
        max_tokens=99,
        system=LISTING,
        messages=[{"role": "user", "content": QUESTION}],
        tools=[{"name": "choose", "description": "Chooses", "input_schema": CHOICE}],
        tool_choice={"type": "tool", "name": "choose"},
    )
    assert forced.content[-1].input["repository"] == "acme/dashboard"

    try:
        anthropic.Anthropic(base_url=BASE.removesuffix("/v1"), api_key="wrong", max_retries=0).models.list()
        raise AssertionError("a wrong key was accepted")
    except anthropic.AuthenticationError as error:
        assert error.body["error"]["type"] == "authentication_error"


openai_checks()
anthropic_checks()
print("ok")
