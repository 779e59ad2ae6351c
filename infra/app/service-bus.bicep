// The namespace and its entities, as infra/servicebus.json lists them for everyone who reads it.
// What only the cloud allows, longer lives and windows, stands in infra/servicebus-cloud.json.
import { tagsOf } from 'types.bicep'

param name string
param location string
param tags tagsOf

@allowed([
  'Premium'
  'Standard'
])
param sku string

@description('Closed to the public network; a private endpoint leads in. Premium only.')
param isPrivate bool
param workspaceId string

// One truth: the local cloud, the emulator and the app's tests read the same file.
var entities = loadJsonContent('../servicebus.json').UserConfig.Namespaces[0]
var cloud = loadJsonContent('../servicebus-cloud.json')
// The largest that each tier has: a topic that is full takes no outcome any more.
var sizeInMegabytes = sku == 'Premium' ? 81920 : 5120

resource namespace 'Microsoft.ServiceBus/namespaces@2026-01-01' = {
  name: name
  location: location
  tags: tags
  sku: sku == 'Premium' ? { name: sku, tier: sku, capacity: 1 } : { name: sku, tier: sku }
  properties: {
    disableLocalAuth: true
    minimumTlsVersion: '1.2'
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
  }
}

resource queues 'Microsoft.ServiceBus/namespaces/queues@2026-01-01' = [
  for queue in entities.Queues: {
    parent: namespace
    name: queue.Name
    properties: {
      lockDuration: queue.Properties.LockDuration
      maxDeliveryCount: queue.Properties.MaxDeliveryCount
      requiresDuplicateDetection: queue.Properties.RequiresDuplicateDetection
      duplicateDetectionHistoryTimeWindow: queue.Properties.DuplicateDetectionHistoryTimeWindow
      deadLetteringOnMessageExpiration: queue.Properties.DeadLetteringOnMessageExpiration
      requiresSession: queue.Properties.RequiresSession
      defaultMessageTimeToLive: cloud.queues.DefaultMessageTimeToLive
      maxSizeInMegabytes: sizeInMegabytes
    }
  }
]

module topics 'service-bus-topic.bicep' = [
  for topic in entities.Topics: {
    name: 'topic-${topic.Name}'
    params: {
      namespaceName: namespace.name
      topic: topic
      sizeInMegabytes: sizeInMegabytes
    }
  }
]

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: namespace
  name: 'all'
  properties: {
    workspaceId: workspaceId
    logs: [
      { categoryGroup: 'allLogs', enabled: true }
    ]
  }
}

output id string = namespace.id
output nearlyFullBytes int = sizeInMegabytes * 1048576 / 10 * 8
// Of the form https://NAME.servicebus.windows.net:443/, with another suffix in other clouds.
output hostName string = split(split(namespace.properties.serviceBusEndpoint, '/')[2], ':')[0]
