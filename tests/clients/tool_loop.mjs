// One conversation with the official TypeScript SDK: each model of MODELS gets a question, a tool and, at the
// end, the history of all that came before it. Prints what each of them said, as JSON.

import Anthropic from "@anthropic-ai/sdk";

const WEATHER = {
  name: "get_weather",
  description: "The weather of a city",
  input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};

const client = new Anthropic({ baseURL: process.env.BASE_URL, apiKey: "anything", maxRetries: 0 });

async function takeTurn(model, history) {
  for (;;) {
    const message = await client.messages
      .stream({
        model,
        max_tokens: 8000,
        thinking: { type: "enabled", budget_tokens: 2000 },
        tools: [WEATHER],
        messages: history,
      })
      .finalMessage();
    history.push({ role: "assistant", content: message.content });
    if (message.stop_reason !== "tool_use") return message;
    history.push({ role: "user", content: message.content.filter(isToolUse).map(resultOf) });
  }
}

const isToolUse = (block) => block.type === "tool_use";

const resultOf = (block) => ({
  type: "tool_result",
  tool_use_id: block.id,
  content: `18 °C in ${block.input.city}`,
});

const history = [];
const said = [];
for (const model of process.env.MODELS.split(",")) {
  history.push({ role: "user", content: "How is the weather?" });
  const message = await takeTurn(model, history);
  said.push(message.content.map((block) => block.text ?? "").join(""));
}
console.log(JSON.stringify(said));
