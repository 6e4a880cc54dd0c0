// The TypeScript SDK's own tool runner, as its users start it: it asks for a thread held by the server.
// Prints the last answer and how often the tool ran, as JSON.

import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ baseURL: process.env.BASE_URL, apiKey: "anything", maxRetries: 0 });
const cities = [];

const getWeather = {
  type: "custom",
  name: "get_weather",
  description: "The weather of a city",
  input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  parse: (input) => input,
  run: ({ city }) => {
    cities.push(city);
    return `18 °C in ${city}`;
  },
};

const final = await client.beta.messages
  .toolRunner({
    model: process.env.MODELS,
    max_tokens: 8000,
    messages: [{ role: "user", content: "Compare Paris and Rome" }],
    tools: [getWeather],
  })
  .runUntilDone();
console.log(JSON.stringify({ said: final.content.map((block) => block.text ?? "").join(""), cities }));
