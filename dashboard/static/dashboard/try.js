// <form data-try>: sends a test message and shows its answer as it comes. The answer is a stream of Anthropic's events,
// put in as text only.
import { count, seconds } from "./formats.js";

const form = document.querySelector("[data-try]");
const [answer, facts, stop] = ["answer", "facts", "stop"].map((name) => form.querySelector(`[data-${name}]`));
let abort;

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (abort) return;
  abort = new AbortController();
  const began = performance.now();
  answer.textContent = "";
  answer.classList.remove("bad");
  facts.textContent = "Waiting for the first event …";
  stop.hidden = false;
  try {
    const response = await fetch(form.action, { method: "POST", body: new FormData(form), signal: abort.signal });
    if (response.ok) await read(response, began);
    else await refuse(response);
  } catch (error) {
    facts.textContent = error.name === "AbortError" ? "Stopped." : "The gateway does not answer.";
  }
  stop.hidden = true;
  abort = undefined;
});
stop.addEventListener("click", () => abort?.abort());

async function refuse(response) {
  const { error, request_id: id } = await response.json().catch(() => ({ error: `It failed with ${response.status}.` }));
  fail(error);
  facts.textContent = "";
  if (id) link(id);
}

function fail(text) {
  answer.textContent += text;
  answer.classList.add("bad");
}

async function read(response, began) {
  let rest = "", first, tokens;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let { value, done } = await reader.read(); !done; { value, done } = await reader.read()) {
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const message = parse(event);
      if (message?.type === "content_block_delta") {
        first ??= (performance.now() - began) / 1000;
        answer.textContent += message.delta.text ?? "";
      }
      if (message?.type === "message_delta") tokens = message.usage?.output_tokens;
      if (message?.type === "error") fail(` ${message.error.message}`);
    }
  }
  facts.textContent = `First event after ${seconds(first)}, ${count(tokens)} tokens, ${seconds((performance.now() - began) / 1000)} in all. `;
  link(response.headers.get("x-request-id"));
}

function parse(event) {
  const data = event.split("\n").find((line) => line.startsWith("data: "));
  return data && JSON.parse(data.slice(6));
}

function link(id) {
  const anchor = document.createElement("a");
  anchor.href = `/requests/${encodeURIComponent(id)}`;
  anchor.textContent = "What was tried for it";
  facts.append(anchor);
}
