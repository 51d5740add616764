// What happened to a thing, in one order: what its log says, who asked for what, what the server did, how long it took and why not.

import { el, ownUrl, replace } from './dom.js';
import { get } from './request.js';
import { summaryOf } from './summary.js';
import { lasted, when } from './when.js';

const EACH = 50;

const time = (text) => (text ? Date.parse(text) : undefined);

/** What can be told of each kind of row; fields that several types have, not types. */
function entry(row) {
  const at = time(row.startTime) ?? row.createdTS ?? time(row.created);
  const end = time(row.endTime);
  const isBad = row.level === 'error' || Number(row.responseCode) >= 400 || /fail|error/i.test(row.exitReason ?? '') || /fail|error/i.test(row.result ?? '');
  const what = row.processName ?? row.eventType ?? row.type;
  const who = row.authenticatedAsIdentityId ?? row.authenticatedAsAccountId;
  const why = [row.description, row.message, row.exitReason !== 'DONE' ? row.exitReason : undefined, Number(row.responseCode) >= 400 ? `${row.responseCode}` : undefined].filter(Boolean).join(' · ');
  const tries = row.executionCount > 1 ? `${row.executionCount} tries` : '';
  return { at, what, who, from: row.clientIp, why, tries, isBad, isOpen: end === undefined && row.processName && row.phase !== 'DONE', took: lasted(row.runtime ?? (end !== undefined ? end - at : NaN)), kind: row.type, url: ownUrl(row.links?.self) };
}

/** Where there is more to tell of a row: the links its summary names, and what names it by type and id. */
function sources(row, schemas) {
  const own = (summaryOf(row.type, row.baseType).story ?? []).map((name) => ownUrl(row.links?.[name])).filter(Boolean).map((url) => `${url.pathname}?sort=id&order=desc&limit=${EACH}`);
  const about = [...schemas.byId.values()].filter((schema) => schema.links?.collection && schema.collectionFilters?.resourceId && schema.collectionFilters.resourceType);
  const root = row.baseType && schemas.find(row.baseType) ? row.baseType : row.type;
  return [...own, ...about.flatMap((schema) => [...new Set([row.type, root])].map((type) =>
    `${ownUrl(schema.links.collection).pathname}?resourceType=${type}&resourceId=${encodeURIComponent(row.id)}&sort=id&order=desc&limit=${EACH}`))];
}

/** Reads and shows it in `place`. */
export async function showTimeline(place, row, schemas) {
  replace(place, el('p', { class: 'help', role: 'status' }, 'reading …'));
  const read = await Promise.all(sources(row, schemas).map((url) => get(url).then((answer) => answer.data ?? []).catch(() => [])));
  const rows = [...new Map(read.flat().map((one) => [`${one.type} ${one.id}`, one])).values()];
  const entries = rows.map(entry).filter((one) => Number.isFinite(one.at)).sort((a, b) => b.at - a.at);
  if (!entries.length) return replace(place, el('p', { class: 'help' }, 'Nothing is known of it.'));
  return replace(place, el('ol', { class: 'timeline' }, entries.map((one) => el('li', { class: one.isBad ? 'bad' : one.isOpen ? 'busy' : '' },
    el('span', { class: 'short' }, when(one.at)), ' ', one.url ? el('a', { href: one.url }, one.what) : el('strong', {}, one.what), ' ', el('small', {}, one.kind),
    one.who || one.from ? el('span', { class: 'who' }, ` by ${[one.who, one.from].filter(Boolean).join(', ')}`) : null,
    one.took ? el('span', { class: 'took' }, ` took ${one.took}`) : one.isOpen ? el('span', { class: 'took' }, ' goes on') : null,
    one.tries ? ` · ${one.tries}` : null,
    one.why ? el('div', { class: one.isBad ? 'msg bad' : 'msg' }, one.why) : null))));
}
