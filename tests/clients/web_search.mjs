// The web search tool with the official TypeScript SDK: streamed, in one piece, and then, without the tool, a
// question about what was found. Prints what came back each time, as JSON.

import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ baseURL: process.env.BASE_URL, apiKey: "anything", maxRetries: 0 });
const question = { role: "user", content: "tides in Oslo" };
const request = {
  model: process.env.MODELS,
  max_tokens: 1000,
  messages: [question],
  tools: [{ type: "web_search_20250305", name: "web_search", max_uses: 5 }],
};

const told = ({ content, usage }) => ({
  types: content.map((block) => block.type),
  query: content.find((block) => block.type === "server_tool_use")?.input,
  urls: content.find((block) => block.type === "web_search_tool_result")?.content.map((hit) => hit.url),
  searches: usage.server_tool_use?.web_search_requests,
});

const streamed = await client.messages.stream(request).finalMessage();
const whole = await client.messages.create(request);
const history = [question, { role: "assistant", content: streamed.content }];
const afterwards = await client.messages.create({
  ...request,
  tools: [],
  messages: [...history, { role: "user", content: "Which of them is the best?" }],
});
console.log(JSON.stringify([streamed, whole, afterwards].map(told)));
