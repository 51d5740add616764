// Sockets of containers and hosts: an action or a link gives an address and a token, and these open the stream.

import { get, send } from './request.js';

/** The address of what an action or a link gives; undefined where nothing runs. */
const addressOf = ({ url, token }) => {
  if (!url || !token) return undefined;
  const at = new URL(url);
  // The page may come by another name than the server knows itself by.
  at.host = location.host;
  at.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
  at.searchParams.set('token', token);
  return at;
};

export const byAction = async (url, body) => addressOf((await send({ method: 'POST', url, body })).data);

export const byLink = async (url) => addressOf(await get(url));

/** Opens a stream. Gives what closes it. */
export function open(address, { heard, closed }) {
  const socket = new WebSocket(address);
  let isOver = false;
  socket.onmessage = ({ data }) => !isOver && heard(data, socket);
  socket.onclose = ({ code }) => !isOver && closed?.(code);
  return { socket, stop: () => {
    isOver = true;
    socket.close();
  } };
}
