// What the TypeScript SDK throws for a request with a wrong field, and for a model nobody has. Prints JSON.

import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ baseURL: process.env.BASE_URL, apiKey: "anything", maxRetries: 0 });
const hello = { model: "claude-sonnet-4-6", max_tokens: 100, messages: [{ role: "user", content: "Hello" }] };

async function thrownBy(changes) {
  try {
    await client.messages.create({ ...hello, ...changes });
    return null;
  } catch (error) {
    return { name: error.constructor.name, status: error.status, message: error.message };
  }
}

console.log(JSON.stringify([await thrownBy({ max_tokens: -1 }), await thrownBy({ model: "my-model" })]));
