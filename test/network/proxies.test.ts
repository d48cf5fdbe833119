/** Which proxy the environment chooses, case by case as Python's `requests` does. */
import { expect } from 'chai';
import { proxyFor } from '../../src/network/proxies.ts';

const proxy = 'http://proxy.corp:3128/';

describe('proxyFor', () => {
  const chosen = (url: string, env: Record<string, string>) => proxyFor(new URL(url), env)?.href;

  it('goes by the scheme, then by ALL_PROXY, in lower case first', () => {
    const env = { HTTP_PROXY: 'http://a:1', https_proxy: 'http://b:2', ALL_PROXY: 'http://c:3' };
    expect(chosen('http://x.org/', env)).to.equal('http://a:1/');
    expect(chosen('https://x.org/', env)).to.equal('http://b:2/');
    expect(chosen('https://x.org/', { all_proxy: 'http://c:3' })).to.equal('http://c:3/');
    expect(chosen('http://x.org/', { ...env, http_proxy: 'http://d:4' })).to.equal('http://d:4/');
    expect(chosen('http://x.org/', { HTTP_PROXY: 'http://a:1', http_proxy: '' })).to.equal(
      undefined,
    );
    expect(chosen('http://x.org/', {})).to.equal(undefined);
  });

  it('takes addresses without a scheme, with a name and a password, and over TLS', () => {
    expect(chosen('http://x.org/', { HTTP_PROXY: 'proxy.corp:3128' })).to.equal(proxy);
    for (const address of ['http://me:p%40ss@proxy.corp:3128/', 'https://proxy.corp/'])
      expect(chosen('http://x.org/', { HTTP_PROXY: address })).to.equal(address);
  });

  it('refuses others in words', () => {
    for (const address of ['socks5://localhost:1080', 'http://', 'http://[::1', 'ftp://x'])
      expect(() => chosen('https://x.org/', { HTTPS_PROXY: address })).to.throw(
        'HTTPS_PROXY is not the address of an HTTP proxy',
      );
    expect(chosen('https://x.org/', { HTTPS_PROXY: 'ftp://x', NO_PROXY: 'x.org' })).to.equal(
      undefined,
    );
  });

  it('takes no HTTP_PROXY of the clients of a CGI program', () => {
    const env = { HTTP_PROXY: 'http://evil:1', REQUEST_METHOD: 'GET' };
    expect(chosen('http://x.org/', env)).to.equal(undefined);
    expect(chosen('http://x.org/', { ...env, http_proxy: proxy })).to.equal(proxy);
  });

  const cases: [list: string, url: string, direct: boolean][] = [
    ['*', 'http://x.org/', true],
    ['a.org, *', 'http://x.org/', true],
    ['x.org', 'http://x.org/', true],
    ['x.org', 'http://www.x.org/', true],
    ['x.org', 'http://wwwx.org/', false],
    ['.x.org', 'http://www.x.org/', true],
    ['.x.org', 'http://x.org/', true],
    ['*.x.org', 'http://www.x.org/', true],
    ['X.ORG', 'http://x.Org/', true],
    ['a.org,b.org , x.org', 'http://x.org/', true],
    ['a.org b.org', 'http://b.org/', true],
    ['x.org:8080', 'http://x.org:8080/', true],
    ['x.org:8080', 'http://www.x.org:8080/', true],
    ['x.org:8080', 'http://x.org/', false],
    ['x.org:443', 'https://x.org/', true],
    ['localhost', 'http://localhost:1234/', true],
    ['127.0.0.1', 'http://127.0.0.1:1234/', true],
    ['127.0.0.1:1234', 'http://127.0.0.1:1234/', true],
    ['0.0.1', 'http://127.0.0.1/', false],
    ['127.0.0.0/8', 'http://127.1.2.3/', true],
    ['10.0.0.0/8', 'http://127.0.0.1/', false],
    ['10.0.0.0/99', 'http://10.0.0.1/', false],
    ['10.0.0.0/8', 'http://x10.0.0.0.org/', false],
    ['::1', 'http://[::1]/', true],
    ['[::1]', 'http://[::1]:80/', true],
    ['[::1]:81', 'http://[::1]:81/', true],
    ['fd00::/8', 'http://[fd12::1]/', true],
    ['fd00::/8', 'http://[fe80::1]/', false],
    ['', 'http://x.org/', false],
    [',', 'http://x.org/', false],
  ];
  for (const [list, url, direct] of cases) {
    it(`goes ${direct ? 'straight' : 'through the proxy'} to ${url} if NO_PROXY is "${list}"`, () => {
      const expected = direct ? undefined : proxy;
      expect(chosen(url, { ALL_PROXY: proxy, NO_PROXY: list })).to.equal(expected);
      expect(chosen(url, { ALL_PROXY: proxy, no_proxy: list, NO_PROXY: 'other' })).to.equal(
        expected,
      );
    });
  }
});
