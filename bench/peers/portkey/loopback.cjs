// Portkey has no option for the address it listens on and would take every interface.
const { Server } = require('node:net');
const { listen } = Server.prototype;

Server.prototype.listen = function (port, ...rest) {
  const called = rest.filter((one) => typeof one === 'function');
  const options = typeof port === 'object' ? port : { port: Number(port) };
  return listen.call(this, { ...options, host: '127.0.0.1' }, ...called);
};
