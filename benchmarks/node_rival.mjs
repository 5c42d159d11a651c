// Microseconds a message with rxjs' webSocket: the reference of the original, not a rival in Python.
import { createRequire } from 'node:module'

const { webSocket } = createRequire(import.meta.url)(process.env.RXJS + '/webSocket')
const [url, order, total] = process.argv.slice(2)
const count = Number(total)
let seen = 0
let began = 0

const socket = webSocket({ url, WebSocketCtor: WebSocket })
socket.subscribe({
  next: () => {
    seen += 1
    if (seen === Math.floor(count / 10)) began = performance.now()
    if (seen === count) {
      console.log((performance.now() - began) / 1000 / (count - Math.floor(count / 10)))
      process.exit(0)
    }
  },
  error: (event) => {
    console.error(String(event.message ?? event.type ?? event))
    process.exit(1)
  },
})
socket.next(JSON.parse(order))
