/** Which proxy a request goes through, by the environment, as Python's `requests` chooses it. */
import { BlockList, isIP } from 'node:net';
import { correct, NetworkError } from './errors.ts';

/** Environment variables by their names. */
export type Environment = Record<string, string | undefined>;

/** The variable that names the proxy for requests to `url`, if they take one. */
export function proxyVariable(url: URL, env: Environment = process.env): string | undefined {
  const names = [`${url.protocol}_proxy`.replace(':', ''), 'all_proxy'];
  const name = names.find((name) => setting(name, env) !== '');
  return isExcepted(url, setting('no_proxy', env)) ? undefined : name?.toUpperCase();
}

/**
 * The proxy for requests to `url`, if they take one: that of `HTTP_PROXY` or `HTTPS_PROXY`, by the
 * scheme of the address, else that of `ALL_PROXY`, unless `NO_PROXY` names the host.
 * @throws NetworkError if the variable does not hold the address of an HTTP proxy.
 */
export function proxyFor(url: URL, env: Environment = process.env): URL | undefined {
  const name = proxyVariable(url, env);
  if (name === undefined) return undefined;
  const text = setting(name.toLowerCase(), env);
  const address = text.includes('://') ? text : `http://${text}`;
  const proxy = URL.canParse(address) ? new URL(address) : undefined;
  if (proxy && /^https?:$/.test(proxy.protocol)) return proxy;
  throw new NetworkError(
    `${name} is not the address of an HTTP proxy, such as http://proxy.example:3128`,
    { passing: 'no', wayOut: correct(name) },
  );
}

/** The variable in lower case goes first, also if it is empty. */
function setting(name: string, env: Environment): string {
  // In a CGI program, HTTP_PROXY is what a client has sent as the header `Proxy`.
  const isHeader = name === 'http_proxy' && env.REQUEST_METHOD !== undefined;
  return (env[name] ?? (isHeader ? undefined : env[name.toUpperCase()]) ?? '').trim();
}

/** Whether `NO_PROXY` names the host of `url`. */
function isExcepted(url: URL, list: string): boolean {
  const host = url.hostname.replace(/^\[|\]$|\.$/g, '');
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  const entries = list.toLowerCase().split(/[\s,]+/);
  return entries.filter(Boolean).some((entry) => {
    if (entry === '*' || isInNetwork(host, entry)) return true;
    const name = entry.replace(/^\*?\.+/, '');
    return [host, url.hostname, `${url.hostname}:${port}`].some(
      (known) => known === name || (isIP(host) === 0 && known.endsWith(`.${name}`)),
    );
  });
}

/** Whether an IP address is in a network such as `10.0.0.0/8`. */
function isInNetwork(host: string, entry: string): boolean {
  const [network, bits = ''] = entry.split('/');
  const version = isIP(host);
  if (version === 0 || isIP(network) !== version || !/^\d{1,3}$/.test(bits)) return false;
  if (Number(bits) > (version === 4 ? 32 : 128)) return false;
  const family = version === 4 ? 'ipv4' : 'ipv6';
  const list = new BlockList();
  list.addSubnet(network, Number(bits), family);
  return list.check(host, family);
}
