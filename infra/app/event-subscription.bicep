// What of a system topic's events goes to the function, in the resource group that the topic is in.
param topicName string
param name string

@description('The function, which must exist: Event Grid asks it whether it agrees.')
param functionId string
param eventTypes string[]

@description('The operations that events must be about; none: all are taken.')
param operations string[]

@description('The storage account that takes events that can\'t be delivered, by its resource ID; empty: they are lost after a day.')
param deadEventAccountId string
param deadEventContainer string

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' existing = {
  name: topicName
}

resource subscription 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15' = {
  parent: topic
  name: name
  properties: {
    destination: {
      endpointType: 'AzureFunction'
      properties: {
        resourceId: functionId
        maxEventsPerBatch: 1
      }
    }
    eventDeliverySchema: 'EventGridSchema'
    retryPolicy: {
      maxDeliveryAttempts: 30
      eventTimeToLiveInMinutes: 1440
    }
    deadLetterWithResourceIdentity: empty(deadEventAccountId)
      ? null
      : {
          identity: { type: 'SystemAssigned' }
          deadLetterDestination: {
            endpointType: 'StorageBlob'
            properties: {
              resourceId: deadEventAccountId
              blobContainerName: deadEventContainer
            }
          }
        }
    filter: {
      includedEventTypes: eventTypes
      advancedFilters: empty(operations)
        ? []
        : [
            {
              key: 'data.operationName'
              operatorType: 'StringIn'
              values: operations
            }
          ]
    }
  }
}
