/** The connections of this process: straight to the server, or through the environment's proxy. */
import type { buildConnector, Dispatcher } from 'undici';
import { certificateSettings, certificatesOf } from './certificates.ts';
import { takeCredentials } from './credentials.ts';
import { proxyError } from './errors.ts';
import { proxyFor, proxyVariable } from './proxies.ts';

type Undici = typeof import('undici');
/** Options of a connection that a ProxyAgent makes. */
type Connecting = { connect: buildConnector.connector };

const agents = new Map<string, Dispatcher>();

/** An agent that asks the environment at each request, so also when one is redirected. */
export function environmentAgent(undici: Undici): Dispatcher {
  return new undici.Agent().compose(
    () => (options, handler) =>
      agentFor(new URL(String(options.origin)), undici).dispatch(options, handler),
  );
}

function agentFor(origin: URL, { Agent, Pool, ProxyAgent }: Undici): Dispatcher {
  const proxy = proxyFor(origin);
  const settings = certificateSettings();
  const variable = proxyVariable(origin);
  const key = JSON.stringify([proxy, variable, settings]);
  const known = agents.get(key);
  if (known) return known;
  const tls = { ca: certificatesOf(settings) };
  const token = proxy && takeCredentials(proxy);
  const through = (to: string | URL, options: object) => {
    const { connect } = options as Connecting;
    const named: Connecting['connect'] = (target, done) =>
      connect(target, (...[error, socket]) =>
        error ? done(proxyError(error, proxy!, variable!), null) : done(null, socket!),
      );
    return new Pool(to, { ...options, connect: named });
  };
  const agent =
    proxy === undefined
      ? new Agent({ connect: tls })
      : new ProxyAgent({
          uri: proxy.href,
          token,
          requestTls: tls,
          proxyTls: tls,
          proxyTunnel: false,
          factory: through, // for http
          clientFactory: through, // for tunnels
        });
  agents.set(key, agent);
  return agent;
}
