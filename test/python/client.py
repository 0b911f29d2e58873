"""The openai clients for Python, unchanged, driven line by line.

Reads one case as a JSON object from each line of standard input and writes what became of it as one line of JSON.
A case holds `surface` (openai, azure), `base`, the URL, `key`, `do` (chat, loop, embeddings, models, model), `arguments`, `headers`, `retries` and `fill`, the length of a message to put into the request.
"""

import json
import sys

import openai

API_VERSION = "2024-10-21"


def client_of(case):
    options = {"api_key": case["key"], "default_headers": case["headers"]}
    if case["retries"] is not None:
        options["max_retries"] = case["retries"]
    if case["surface"] == "azure":
        return openai.AzureOpenAI(azure_endpoint=case["base"], api_version=API_VERSION, **options)
    return openai.OpenAI(base_url=case["base"], **options)


def chat(client, case):
    arguments = dict(case["arguments"])
    if case["fill"] > 0:
        arguments["messages"] = [{"role": "user", "content": "x" * case["fill"]}]
    if not arguments.get("stream"):
        return plainly(client, arguments)
    opened = client.chat.completions.with_raw_response.create(**arguments)
    result = {"receipt": opened.headers.get("sekisho-receipt"), "chunks": []}
    try:
        with opened.parse() as stream:
            for chunk in stream:
                result["chunks"].append(dumped(chunk))
    except openai.APIError as error:
        result["error"] = described(error)
    return result


def plainly(client, arguments):
    reply = client.chat.completions.with_raw_response.create(**arguments)
    return {"receipt": reply.headers.get("sekisho-receipt"), "reply": dumped(reply.parse())}


def loop(client, case):
    arguments = dict(case["arguments"])
    message = client.chat.completions.create(**arguments).choices[0].message
    results = [
        {
            "role": "tool",
            "tool_call_id": call.id,
            "content": f"{call.function.name} was called with {call.function.arguments}",
        }
        for call in message.tool_calls
    ]
    arguments["messages"] = [*arguments["messages"], message, *results]
    return plainly(client, arguments)


def embeddings(client, case):
    reply = client.embeddings.with_raw_response.create(**case["arguments"])
    vectors = [item.embedding for item in reply.parse().data]
    return {"receipt": reply.headers.get("sekisho-receipt"), "vectors": vectors}


def models(client, _):
    return {"models": [dumped(model) for model in client.models.list()]}


def model(client, case):
    return {"models": [dumped(client.models.retrieve(**case["arguments"]))]}


STEERING = ("retry-after", "retry-after-ms", "x-should-retry")
ACTIONS = {"chat": chat, "loop": loop, "embeddings": embeddings, "models": models, "model": model}


def dumped(value):
    return value.to_dict(mode="json", exclude_unset=True)


def described(error):
    response = getattr(error, "response", None)
    headers = {} if response is None else response.headers
    return {
        "type": type(error).__name__,
        "status": getattr(error, "status_code", None),
        "code": getattr(error, "code", None),
        "param": getattr(error, "param", None),
        "requestId": getattr(error, "request_id", None),
        "retry": {name: headers[name] for name in STEERING if name in headers},
        "body": getattr(error, "body", None),
    }


def main():
    for line in sys.stdin:
        case = json.loads(line)
        try:
            with client_of(case) as client:
                result = ACTIONS[case["do"]](client, case)
        except openai.APIError as error:
            result = {"error": described(error)}
        print(json.dumps(result), flush=True)


main()
