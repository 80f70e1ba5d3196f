// Talking to the server. Changes go one after the other, and each is sent until it is answered.

const TRIES = 5;
let last = Promise.resolve();

export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export async function api(path, body) {
  const options = body && { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  const response = await fetch(path, options);
  const text = await response.text();
  let answer;
  try {
    answer = JSON.parse(text);
  } catch {
    answer = { error: text || response.statusText };
  }
  if (!response.ok) throw new Refused(answer.error || response.statusText, response.status);
  return answer;
}

// The request carries an id of its own: when the answer is lost and it is sent again, the queue records it once.
export function send(path, body, warn = () => {}) {
  const id = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const attempt = async () => {
    for (let tried = 1; ; tried++) {
      try {
        return await api(path, { ...body, request_id: id });
      } catch (error) {
        if (error instanceof Refused || tried === TRIES) throw error;
        warn("The server does not answer; trying again");
        await new Promise((done) => setTimeout(done, 300 * 2 ** tried));
      }
    }
  };
  const sent = last.then(attempt);
  last = sent.catch(() => {});
  return sent;
}
