// What people see and set first of a type: the part `summary` of its file in `schemas/types`. Nothing here knows a type.

import { el, ownUrl } from './dom.js';
import { when } from './when.js';

let all = {};

/** Takes what the page names. */
export const learnSummaries = (given) => (all = given ?? {});

const NONE = Object.freeze({});

/** The summary of a type, or of the one it comes from. */
export const summaryOf = (type, base) => all[type] ?? all[base] ?? NONE;

/** The value at `a.b.c`. */
export const valueAt = (row, path) => path.split('.').reduce((value, name) => value?.[name], row);

const isNothing = (value) => value === undefined || value === null || value === '' || (Array.isArray(value) && !value.length);

export const plainImage = (text) => String(text).replace(/^(docker|sim):/, '');

/** `1536` → `1.5 KiB`. */
export function bytes(number) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let size = Number(number);
  let at = 0;
  for (; size >= 1024 && at < units.length - 1; at += 1) size /= 1024;
  return `${size >= 100 || at === 0 ? Math.round(size) : size.toFixed(1)} ${units[at]}`;
}

/** Where something answers: `http://10.0.0.1:8080`. */
function endpoint(value) {
  const { ipAddress, port } = value ?? {};
  const text = `${ipAddress ?? ''}:${port ?? ''}`;
  return ipAddress && port ? el('a', { href: `http://${text}`, target: '_blank', rel: 'noreferrer' }, text) : text;
}

const between = (parts) => parts.flatMap((part, i) => (i ? [', ', part] : [part]));

/** How `{field|form}` is written. */
const FORMS = {
  image: plainImage,
  ago: when,
  bytes,
  mib: (value) => bytes(Number(value) * 1048576),
  list: (value) => (Array.isArray(value) ? value.join(', ') : String(value)),
  keys: (value) => Object.keys(value).join(', '),
  count: (value, word) => `${value.length} ${word ?? ''}${word && value.length !== 1 ? 's' : ''}`,
  endpoints: (value) => between(value.map(endpoint)),
};

/** `{a.b|form:word}` or `a.b|form`, for a row; undefined if it says nothing. */
export function told(place, row) {
  const [path, form] = place.split('|');
  const value = valueAt(row, path);
  if (isNothing(value)) return undefined;
  const [name, word] = (form ?? '').split(':');
  return form ? FORMS[name]?.(value, word) ?? String(value) : String(value);
}

/** A sentence about a row, of the parts that have all their values. */
export function sentence(parts, row) {
  const said = (parts ?? []).map((part) => {
    const pieces = part.split(/\{([^}]+)\}/);
    const values = pieces.map((piece, i) => (i % 2 ? told(piece, row) : piece));
    return values.includes(undefined) ? undefined : values;
  }).filter(Boolean);
  return between(said);
}

/** The name of a path for people: `launchConfig.imageUuid|image` → `image`. */
export const labelOf = (place) => {
  const name = place.split('|')[0].split('.').pop();
  return name.replace(/Uuid$/, '').replace(/(.)Ids?$/, '$1').replace(/^healthState$/, 'health');
};

/** What an action is taken back by, if it offers itself. */
export const undoOf = (summary, action, row) => {
  const other = summary.undo?.[action];
  return other && ownUrl(row?.actions?.[other]) ? other : undefined;
};
