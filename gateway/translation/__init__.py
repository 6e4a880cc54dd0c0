"""From the one API to the other and back, as pure functions: same input, same output.

request.py           messages request -> generateContent request
  history.py           messages in any state -> turns Google accepts
  context_limit.py     what happens when the history is too long
  thinking.py          how much the model shall think
  content_blocks.py    content block -> parts
  signatures.py        who signed which thinking
  tools.py             tools and tool_choice -> declarations and config
    tool_names.py        client's names <-> upstream names
    json_schema.py       input_schema -> the part of JSON Schema Google accepts
    schemas/             how: references, alternatives, words, and the way back
stream.py            chunks -> stream events
response.py          stream events -> message
  stop_reason.py       finishReason -> stop_reason
  usage.py             usageMetadata -> usage
web_search/          a web search to Google, and its sources back
errors.py            Google's error body -> the sentence for the client
upstream_model.py    what we know of a model from its name
token_estimate.py    about how many tokens a request has
  text_tokens.py       of a text, by its scripts
  media_tokens.py      of an image or a document, by its size
"""
