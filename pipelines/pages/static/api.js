// Talking to the server: one answer for each request, however often it has to be sent.

const TIMEOUT_MS = 20_000;

// The server said no: sending it again would change nothing.
export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

// No answer came, so nobody knows whether the request arrived.
export class Unreachable extends Error {}

async function once(path, body) {
  const options = body && { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  let response, text;
  try {
    response = await fetch(path, { ...options, signal: AbortSignal.timeout(TIMEOUT_MS) });
    text = await response.text();
  } catch {
    throw new Unreachable("The server does not answer");
  }
  let answer;
  try {
    answer = JSON.parse(text);
  } catch {
    answer = { error: text || response.statusText };
  }
  if ([502, 503, 504].includes(response.status)) throw new Unreachable(answer.error || response.statusText);
  if (!response.ok) throw new Refused(answer.error || response.statusText, response.status);
  return answer;
}

// Wait longer each time, but not when the network comes back meanwhile.
function pause(tried) {
  return new Promise((done) => {
    window.addEventListener("online", done, { once: true });
    setTimeout(done, Math.min(300 * 2 ** tried, 5000));
  });
}

// Read, or with a body change something. With `waiting`, which is told why, the request is sent until it is answered; the
// queue counts a change once, because every try has the same id.
export async function api(path, body, waiting) {
  if (body) {
    const id = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
    body = { ...body, request_id: id };
  }
  for (let tried = 0; ; tried++) {
    try {
      return await once(path, body);
    } catch (error) {
      if (error instanceof Refused || !waiting) throw error;
      waiting(error);
      await pause(tried);
    }
  }
}
