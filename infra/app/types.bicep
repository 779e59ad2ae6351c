// Types that more than one template uses. A sealed one takes no other names: a misspelt
// `resourceGroups` would otherwise open a whole subscription.

@export()
@description('Tags of a resource.')
type tagsOf = { *: string }

@export()
@description('A subscription whose VMs may be assessed: those in some resource groups, or all of them where none is named.')
@sealed()
type assessScope = {
  @minLength(36)
  @maxLength(36)
  subscriptionId: string
  resourceGroups: string[]?
}

@export()
@description('What has instances ready at all times: `function:NAME`, and how many of them.')
@sealed()
type alwaysReadyInstances = {
  name: string
  @minValue(1)
  instanceCount: int
}

@export()
@description('Private DNS zones that are there already and linked to the network, by their resource IDs. Those that are missing are made.')
@sealed()
type privateDnsZones = {
  blob: string?
  table: string?
  serviceBus: string?
}

@export()
@description('A maintenance configuration in this subscription. Azure has one system topic for each source: where there is one already, its resource ID, and the object ID of its identity, without which undeliverable events are lost.')
@sealed()
type maintenanceConfiguration = {
  id: string
  location: string
  systemTopicId: string?
  systemTopicPrincipalId: string?
}

@export()
@description('A topic of Service Bus in the format of its emulator, as far as a deployment reads it.')
type serviceBusTopic = {
  Name: string
  Properties: {
    RequiresDuplicateDetection: bool
  }
  Subscriptions: {
    Name: string
    Properties: {
      DeadLetteringOnMessageExpiration: bool
      LockDuration: string
      MaxDeliveryCount: int
      RequiresSession: bool
    }
    Rules: {
      Name: string
      Properties: {
        FilterType: 'Correlation' | 'Sql'
        CorrelationFilter: {
          Properties: { *: string }
        }?
        SqlFilter: {
          SqlExpression: string
        }?
      }
    }[]
  }[]
}
