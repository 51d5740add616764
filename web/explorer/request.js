// Requests: one description from which come the sending, the curl command and the HTTP text, so that what is shown is
// what is sent.

const SECRET = '${CATTLE_ACCESS_KEY}:${CATTLE_SECRET_KEY}';

/** A refusal: what the server said, or that it could not be reached. */
export class ApiError extends Error {
  constructor(body, status) {
    super(body?.message || body?.code || `HTTP ${status}`);
    this.body = body ?? {};
    this.status = status;
    this.fieldName = body?.fieldName;
    this.code = body?.code ?? 'Unreachable';
  }

  /** A sentence for people. */
  get sentence() {
    const { code, message, detail, fieldName } = this.body;
    const parts = [this.code];
    if (message && message !== code) parts.push(message);
    if (detail) parts.push(typeof detail === 'string' ? detail : JSON.stringify(detail));
    if (fieldName) parts.push(`field ${fieldName}`);
    return parts.join(': ');
  }
}

const cookie = (name) => document.cookie.split('; ').find((c) => c.startsWith(`${name}=`))?.slice(name.length + 1);

/** Sends a request. Gives `{data, status, schemas}`; throws ApiError. */
export async function send({ method = 'GET', url, body, signal, isKept }) {
  // Accept decides: with anything in it the server would take us for a person and answer with a page.
  const headers = { Accept: 'application/json', 'X-API-No-Challenge': 'true' };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  const csrf = cookie('CSRF');
  if (method !== 'GET' && csrf) headers['X-API-CSRF'] = csrf;
  let response;
  try {
    response = await fetch(url, {
      method, headers, signal, cache: isKept ? 'no-cache' : 'no-store', credentials: 'same-origin',
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (failure) {
    if (failure.name === 'AbortError') throw failure;
    document.dispatchEvent(new CustomEvent('drover-lost'));
    throw new ApiError({ code: 'Unreachable', message: 'the server does not answer' }, 0);
  }
  const text = await response.text();
  let data = null;
  try {
    data = text ? JSON.parse(text) : null;
  } catch {
    if (response.ok) throw new ApiError({ code: 'NotJson', message: 'the answer is not JSON' }, response.status);
  }
  if (!response.ok) throw new ApiError(data ?? { code: `${response.status}`, message: text.slice(0, 300) }, response.status);
  return { data, status: response.status, schemas: response.headers.get('X-API-Schemas') };
}

/** GET of what the browser may keep: it asks whether that is still so. */
export const getKept = (url) => send({ url, isKept: true }).then((answer) => answer.data);

/** GET of JSON. */
export const get = (url, signal) => send({ url, signal }).then((answer) => answer.data);

const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

/** The same request for a shell. */
export function asCurl({ method, url, body }) {
  const lines = [`curl -u "${SECRET}"`];
  if (method !== 'GET') lines.push(`-X ${method}`);
  lines.push("-H 'Accept: application/json'");
  if (body !== undefined) {
    lines.push("-H 'Content-Type: application/json'", `-d ${quoted(JSON.stringify(masked(body)))}`);
  }
  lines.push(quoted(String(url)));
  return lines.join(' \\\n  ');
}

/** The same request as text on the wire. */
export function asHttp({ method, url, body }) {
  const at = new URL(url, location.href);
  const lines = [`${method} ${at.pathname}${at.search} HTTP/1.1`, `Host: ${at.host}`, 'Accept: application/json',
    `Authorization: Basic \${base64(${SECRET.slice(2, -1).replace('}:${', ':')})}`];
  if (body === undefined) return lines.join('\n');
  return [...lines, 'Content-Type: application/json', '', JSON.stringify(masked(body), null, 2)].join('\n');
}

/** The body as JSON, for reading. */
export const asJson = ({ body }) => (body === undefined ? '(no body)' : JSON.stringify(masked(body), null, 2));

/** Passwords as the form hides them. */
class Hidden extends String {}
export const hidden = (text) => new Hidden(text);

function masked(value) {
  if (value instanceof Hidden) return '••••••••';
  if (Array.isArray(value)) return value.map(masked);
  if (value && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, masked(v)]));
  return value;
}
