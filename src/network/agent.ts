/** The connections of this process: straight to the server, or through the environment's proxy. */
import type { Dispatcher } from 'undici';
import { certificateSettings, certificatesOf } from './certificates.ts';
import { takeCredentials } from './credentials.ts';
import { proxyFor } from './proxies.ts';

type Undici = typeof import('undici');

const agents = new Map<string, Dispatcher>();

/** An agent that asks the environment at each request, so also when one is redirected. */
export function environmentAgent(undici: Undici): Dispatcher {
  return new undici.Agent().compose(
    () => (options, handler) =>
      agentFor(new URL(String(options.origin)), undici).dispatch(options, handler),
  );
}

function agentFor(origin: URL, { Agent, ProxyAgent }: Undici): Dispatcher {
  const proxy = proxyFor(origin);
  const settings = certificateSettings();
  const key = JSON.stringify([proxy, settings]);
  const known = agents.get(key);
  if (known) return known;
  const tls = { ca: certificatesOf(settings) };
  const token = proxy && takeCredentials(proxy);
  const agent =
    proxy === undefined
      ? new Agent({ connect: tls })
      : new ProxyAgent({
          uri: proxy.href,
          token,
          requestTls: tls,
          proxyTls: tls,
          proxyTunnel: false,
        });
  agents.set(key, agent);
  return agent;
}
