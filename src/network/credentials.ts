/** Names and passwords in addresses. */

/** Removes the name and the password from an address, and returns the header's value for them. */
export function takeCredentials(url: URL): string | undefined {
  const { username, password } = url;
  if (username === '' && password === '') return undefined;
  Object.assign(url, { username: '', password: '' });
  const text = `${unescaped(username)}:${unescaped(password)}`;
  return `Basic ${Buffer.from(text).toString('base64')}`;
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a percent sign that escapes nothing
  }
}
