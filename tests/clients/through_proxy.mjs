// A GET through the proxy that HTTP_PROXY names, as HTTP clients of Node do it: the whole URL for `http`, CONNECT for
// `https`. Argument: the URL.

import http from 'node:http';
import tls from 'node:tls';

const url = new URL(process.argv[2]);
const proxy = new URL(process.env.HTTP_PROXY);
const done = (status, body) => {
  console.log(body);
  process.exit(status >= 200 && status < 300 ? 0 : 1);
};
const failed = (error) => done(0, String(error));
const read = (response) => {
  let body = '';
  response.setEncoding('utf8');
  response.on('data', (piece) => (body += piece));
  response.on('end', () => done(response.statusCode, body));
};
const to = { host: proxy.hostname, port: proxy.port };
if (url.protocol === 'http:') {
  http.get({ ...to, path: url.href, headers: { host: url.host } }, read).on('error', failed);
} else {
  const authority = `${url.hostname}:${url.port || 443}`;
  const request = http.request({ ...to, method: 'CONNECT', path: authority, headers: { host: authority } });
  request.on('response', read).on('error', failed);
  request.on('connect', (response, socket) => {
    if (response.statusCode !== 200) return done(response.statusCode, 'no tunnel');
    const secure = tls.connect({ socket, servername: url.hostname }, () => {
      http.get({ createConnection: () => secure, path: url.pathname, headers: { host: url.host } }, read).on('error', failed);
    });
    secure.on('error', failed);
  });
  request.end();
}
