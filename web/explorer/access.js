// Logging in and out, and turning access control on. The cookie is written here, as Rancher's own interface does.

import { append, el, uniqueId } from './dom.js';
import { get, send } from './request.js';

const LATEST = '/v2-beta';

let asked;
/** What the server says of logins: `{security, userType, authProvider, …}`; undefined if it says nothing. */
export const loginState = () => (asked ??= get(`${LATEST}/token`).then((answer) => answer.data?.[0]).catch(() => undefined));

async function logIn(name, password) {
  const { data } = await send({ method: 'POST', url: `${LATEST}/token`, body: { code: `${name}:${password}`, authProvider: 'localauthconfig' } });
  document.cookie = `token=${data.jwt}; path=/; SameSite=Strict${location.protocol === 'https:' ? '; Secure' : ''}`;
}

export async function logOut() {
  try {
    await send({ method: 'DELETE', url: `${LATEST}/token/current` });
  } catch {
    // It may have ended by itself.
  }
  document.cookie = 'token=; path=/; SameSite=Strict; expires=Thu, 01 Jan 1970 00:00:00 GMT';
  location.assign('/');
}

function field(label, props) {
  const id = uniqueId();
  return el('div', { class: 'f' }, el('div', { class: 'label' }, el('label', { for: id }, label)), el('input', { id, required: true, ...props }));
}

/** A form with a name and a password; `submit(name, password)` may refuse. `heading` is `h1` where it is the page. */
function passwordForm({ title, text, verb, submit, isNew, heading = 'h2' }) {
  const name = field('User name', { type: 'text', name: 'username', autocomplete: 'username', autocapitalize: 'none' });
  const password = field('Password', { type: 'password', name: 'password', autocomplete: isNew ? 'new-password' : 'current-password' });
  const again = isNew ? field('Password again', { type: 'password', name: 'again', autocomplete: 'new-password' }) : null;
  const error = el('div', { class: 'summary', role: 'alert' });
  const go = el('button', { type: 'submit', class: 'go' }, verb);
  const value = (node) => node.querySelector('input').value;
  return el('form', { class: 'login', 'aria-label': title, onsubmit: async (event) => {
    event.preventDefault();
    go.disabled = true;
    error.replaceChildren();
    if (again && value(again) !== value(password)) {
      append(error, ['The passwords are not the same.']);
      again.querySelector('input').focus();
      go.disabled = false;
      return;
    }
    try {
      await submit(value(name), value(password));
    } catch (failure) {
      append(error, [failure.status === 401 ? 'The name or the password is wrong.' : failure.status === 429 ? 'Too many attempts: wait a little.' : failure.sentence ?? String(failure)]);
      password.querySelector('input').focus();
    } finally {
      go.disabled = false;
    }
  } }, el(heading, {}, title), text ? el('p', {}, text) : null, name, password, again, error, go);
}

/** Logs in, and shows the page that was asked for. */
export function loginForm() {
  return passwordForm({ title: 'Log in', verb: 'Log in', heading: 'h1', submit: async (name, password) => {
    await logIn(name, password);
    location.reload();
  } });
}

/** Turns access control on, and logs in with what was just said. */
export function turnOnForm() {
  return passwordForm({
    title: 'Turn access control on', verb: 'Turn on', isNew: true,
    text: 'Everybody who reaches this server may do everything. Choose the administrator’s name and password; from then on every request has to prove who sends it.',
    submit: async (name, password) => {
      // The server ends what is open to everybody; the line to it must not take the page away before the login is done.
      document.body.dataset.entering = '';
      try {
        await send({ method: 'POST', url: `${LATEST}/localauthconfig`, body: { enabled: true, accessMode: 'unrestricted', username: name, name, password } });
        await logIn(name, password);
      } finally {
        delete document.body.dataset.entering;
      }
      location.reload();
    },
  });
}

/** The session has ended while something was being filled in: a login beside the form, which stays as it is. */
export function sessionDialog() {
  if (document.querySelector('dialog.session')) return;
  const dialog = el('dialog', { class: 'session', 'aria-label': 'Log in again', onclose: () => dialog.remove() }, passwordForm({
    title: 'Log in again', verb: 'Log in', text: 'Your session has ended. What you have filled in is kept.',
    submit: async (name, password) => {
      await logIn(name, password);
      dialog.close();
    },
  }));
  document.body.append(dialog);
  dialog.showModal();
  dialog.querySelector('input')?.focus();
}
