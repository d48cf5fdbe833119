/** Addresses as they may be shown and stored. */

/**
 * An address without what only its owner may know: name and password, and the query, which may be
 * a signature. Of a `data:` address only the type is left. Paths stay as they are.
 */
export function shownAddress(text: string): string {
  const data = /^\s*data:[^;,]*/i.exec(text);
  if (data) return data[0].trim();
  if (!/^\s*[a-z][a-z0-9+.-]*:\/\//i.test(text)) return text;
  return text
    .trim()
    .replace(/[?#].*$/s, '')
    .replace(/^([^/]+:\/+)[^/\\]*@/, '$1');
}
