// Loaded before the program that is measured: answers its parent what memory it holds, and after a collection if asked.
process.on('message', (question) => {
  if (question === 'collected') globalThis.gc?.()
  process.send?.({ ...process.memoryUsage(), cpu: process.cpuUsage() })
})
process.channel?.unref()
